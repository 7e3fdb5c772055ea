"""The whole chain without AWS: files into our own S3, its events through SQS, and the program as a worker or as a Lambda
function, with its ledger on DynamoDB. The buckets are none that the server itself does anything with."""

import importlib.util
import json
import pathlib
import signal
import subprocess
import sys

import boto3
import pytest

from harness import moto
from harness.keys import REGION
from harness.runtime_api import RuntimeApi
from harness.server import ROOT, program
from harness.waiting import until

INCOMING, KEPT, TABLE = "incoming", "kept", "ledger"
ARN = f"arn:aws:sqs:{REGION}:123456789012:wake-ups"
KEYS = [f"plain/{number}" for number in range(12)] + ["a b+c/é&%2F.txt", "-", "bad/1", "bad/2"]
GOOD = sorted(key for key in KEYS if not key.startswith("bad"))

VERIFY = pathlib.Path(__file__).parents[2] / "deploy" / "verify.py"


class Deployment:
    """Buckets, a queue and a table, and the variables by which the program finds them."""

    def __init__(self, make_server, folder, sqs_url, dynamodb_url):
        config = folder / "server.toml"
        config.write_text(
            f'[notifications.wake-ups]\nkind = "sqs"\nurl = "{sqs_url}/123456789012/wake-ups"\n'
        )
        keys = {"aws_access_key_id": ROOT.access_key_id, "aws_secret_access_key": ROOT.secret_access_key}
        self.sqs = boto3.client("sqs", endpoint_url=sqs_url, region_name=REGION, **keys)
        self.queue_url = self.sqs.create_queue(QueueName="wake-ups")["QueueUrl"]
        dynamodb = boto3.client("dynamodb", endpoint_url=dynamodb_url, region_name=REGION, **keys)
        dynamodb.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        secret = {
            "TWO_BUCKETS_NOTIFICATIONS_WAKE_UPS_ACCESS_KEY_ID": ROOT.access_key_id,
            "TWO_BUCKETS_NOTIFICATIONS_WAKE_UPS_SECRET_ACCESS_KEY": ROOT.secret_access_key,
        }
        self.server = make_server("--config", config, variables=secret)
        self.s3 = self.server.s3()
        for bucket in (INCOMING, KEPT):
            self.s3.create_bucket(Bucket=bucket)
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.folder = folder
        kept = {
            name: value
            for name, value in self.server.environment().items()
            if not name.startswith(("TWO_BUCKETS_", "AWS_"))
        }
        self.variables = kept | {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ROOT.access_key_id,
            "AWS_SECRET_ACCESS_KEY": ROOT.secret_access_key,
            "AWS_ENDPOINT_URL_S3": self.server.endpoint,
            "AWS_ENDPOINT_URL_SQS": sqs_url,
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
            "TWO_BUCKETS_DATA": str(folder / "worker"),
            "TWO_BUCKETS_STACK": "files",
            "TWO_BUCKETS_STAGING": INCOMING,
            "TWO_BUCKETS_ARCHIVE": KEPT,
            "TWO_BUCKETS_LEDGER_TABLE": TABLE,
            "TWO_BUCKETS_LEDGER_SHARDS": "2",
            "TWO_BUCKETS_QUEUE_URL": self.queue_url,
        }

    def ask_for_events(self):
        rule = {"QueueArn": ARN, "Events": ["s3:ObjectCreated:*"]}
        self.s3.put_bucket_notification_configuration(
            Bucket=INCOMING, NotificationConfiguration={"QueueConfigurations": [rule]}
        )

    def put(self, *keys):
        for key in keys:
            self.s3.put_object(Bucket=INCOMING, Key=key, Body=key.encode())

    def versions(self, bucket):
        found = self.s3.list_object_versions(Bucket=bucket)
        return sorted(version["Key"] for version in found.get("Versions", []))

    def launch(self, *words, **variables):
        """Starts the program; what it says on standard output and standard error is in files of these names."""
        out, err = (self.folder / name for name in ("stdout", "stderr"))
        with out.open("wb") as out, err.open("wb") as err:
            command = [program(), *words]
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.variables | variables
            )

    def said(self, name):
        return (self.folder / name).read_text()

    def figures(self):
        """The sums of CloudWatch's figures that were said on standard output."""
        sums = {}
        for line in self.said("stdout").splitlines():
            figures = json.loads(line)
            if "_aws" in figures:
                assert figures["Stack"] == "files"
                for metric in figures["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                    name = metric["Name"]
                    sums[name] = sums.get(name, 0) + figures[name]
        return sums


@pytest.fixture
def deployment(make_server, tmp_path):
    with (
        moto.serving(tmp_path / "sqs.log") as sqs,
        moto.serving(tmp_path / "dynamodb.log", one_at_a_time=True) as dynamodb,
    ):
        yield Deployment(make_server, tmp_path, sqs, dynamodb)


def test_a_worker_archives_every_file_once_or_says_why_not_and_drains(deployment):
    # Nobody is told of the first ones: the sweep finds them.
    deployment.put(*KEYS[:4])
    deployment.ask_for_events()
    deployment.put(*KEYS[4:])
    deployment.put(KEYS[5])
    script = 'case "$TWO_BUCKETS_KEY" in bad/*) echo bad >&2; exit 65;; *) cat >/dev/null;; esac'
    words = ("work", "--shell", "--command", script, "--log-format", "json")
    worker = deployment.launch(*words, TWO_BUCKETS_SWEEP_INTERVAL_S="2")
    try:
        wanted = sorted([*GOOD, KEYS[5]])
        until("all good files are archived", lambda: deployment.versions(KEPT) == wanted)
        until("the others were given up", lambda: deployment.figures().get("FailedUploads") == 2)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0, deployment.said("stderr")
    finally:
        worker.kill()
        worker.wait()
    assert deployment.versions(KEPT) == wanted
    assert deployment.versions(INCOMING) == ["bad/1", "bad/2"]
    for key in GOOD:
        assert deployment.s3.get_object(Bucket=KEPT, Key=key)["Body"].read() == key.encode()
    figures = deployment.figures()
    assert (figures["ArchivedUploads"], figures["FailedUploads"]) == (len(wanted), 2)
    assert "OldestUnfinishedSeconds" in figures
    assert ROOT.secret_access_key not in deployment.said("stderr") + deployment.said("stdout")
    assert not list((deployment.folder / "worker" / "work").iterdir()), "a worker leaves nothing"


def test_a_worker_refuses_a_bucket_without_versions_and_what_it_was_not_told(deployment):
    deployment.s3.put_bucket_versioning(Bucket=KEPT, VersioningConfiguration={"Status": "Suspended"})
    assert deployment.launch("work").wait(timeout=60) == 1
    assert f"versioning of bucket {KEPT} is not enabled" in deployment.said("stderr")
    nothing = {name: "" for name in deployment.variables if name.startswith("TWO_BUCKETS_")}
    assert deployment.launch("work", **nothing).wait(timeout=60) == 2
    for flag in ("--staging", "--archive", "--ledger-table", "--queue-url"):
        assert flag in deployment.said("stderr")


def batch_of(messages):
    """Messages as Lambda gives them (Lambda Developer Guide, "Using Lambda with Amazon SQS")."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": ARN,
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }


def test_the_program_is_the_lambda_function_where_lambda_is(deployment):
    deployment.ask_for_events()
    deployment.put(*GOOD)
    api = RuntimeApi()
    function = deployment.launch(
        AWS_LAMBDA_RUNTIME_API=api.address,
        AWS_LAMBDA_FUNCTION_NAME="processor",
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE="512",
        AWS_LAMBDA_FUNCTION_VERSION="$LATEST",
        AWS_LAMBDA_LOG_STREAM_NAME="2026/11/26/[$LATEST]0123456789abcdef",
        TWO_BUCKETS_FUNCTION_LIMIT_S="30",
    )
    try:

        def poll():
            received = deployment.sqs.receive_message(
                QueueUrl=deployment.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            messages = received.get("Messages", [])
            if messages:
                # Twice, as queues may.
                for _ in range(2):
                    kind, answer = api.invoke(batch_of(messages))
                    assert (kind, answer) == ("response", {"batchItemFailures": []})
                for message in messages:
                    receipt = message["ReceiptHandle"]
                    deployment.sqs.delete_message(QueueUrl=deployment.queue_url, ReceiptHandle=receipt)
            return deployment.versions(KEPT) == GOOD

        until("all files are archived", poll)
        kind, problem = api.invoke({"what": "is this"})
        assert kind == "error" and "neither an event of S3" in problem["errorMessage"]
        assert function.poll() is None, deployment.said("stderr")
    finally:
        function.kill()
        function.wait()
        api.close()
    assert deployment.versions(INCOMING) == []
    assert deployment.figures()["ArchivedUploads"] == len(GOOD)
    for line in deployment.said("stdout").splitlines():
        json.loads(line)


def test_a_lambda_function_that_is_not_configured_says_what_is_missing(deployment):
    nothing = {name: "" for name in deployment.variables if name.startswith("TWO_BUCKETS_")}
    nothing |= {"TWO_BUCKETS_FUNCTION_ARN": "arn:aws:lambda:us-east-1:1:function:f", "TWO_BUCKETS_JOB_QUEUE": "arn"}
    assert deployment.launch(AWS_LAMBDA_RUNTIME_API="127.0.0.1:1", **nothing).wait(timeout=60) == 1
    said = deployment.said("stderr")
    for name in ("STAGING", "ARCHIVE", "LEDGER_TABLE", "QUEUE_URL"):
        assert f"TWO_BUCKETS_{name} is not set" in said


def verify_module():
    spec = importlib.util.spec_from_file_location("verify", VERIFY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_probes_tell_an_uploaders_credentials_from_ones_that_may_more(shared_server, monkeypatch):
    """On the server itself, whose upload API gives credentials away as the one on AWS does."""
    verify = verify_module()

    class Stack:
        staging, archive, s3 = "staging", "archive", shared_server.s3()
        outputs = {"ApiUrl": shared_server.web}

    def probed():
        said = []
        report, puts = verify.Report(said.append), []
        verify.check_uploader(Stack, "verify/probes/", shared_server.api.token, puts, report)
        return said, puts

    said, puts = probed()
    assert said == ["ok      an uploader's credentials put one key and do nothing else"]
    assert [put.key for put in puts] == ["verify/probes/by an uploader"]
    given = {
        "endpoint": shared_server.endpoint,
        "region": REGION,
        "bucket": "staging",
        "access_key": ROOT.access_key_id,
        "secret_key": ROOT.secret_access_key,
        "session_token": None,
    }
    monkeypatch.setattr(verify, "granted", lambda *_: given)
    said, _ = probed()
    assert said[0].startswith("FAILED")
    for may in ("read its own file", "delete it", "list staging", "put another key", "put to the archive"):
        assert f"        it may {may}" in said


def test_a_deployment_that_keeps_its_promises_is_verified(deployment):
    """The script that verifies a stack on AWS, on this one."""
    deployment.ask_for_events()
    worker = deployment.launch("work", "--log-format", "json", TWO_BUCKETS_SWEEP_INTERVAL_S="2")
    places = ("--staging", INCOMING, "--archive", KEPT, "--ledger-table", TABLE)
    try:
        verified = subprocess.run(
            [sys.executable, VERIFY, *places, "--within-s", "120", "--files", "20", "--clean"],
            env=deployment.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    finally:
        worker.kill()
        worker.wait()
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "all of it holds" in verified.stdout
    assert (deployment.versions(KEPT), deployment.versions(INCOMING)) == ([], [])
