"""The whole chain without AWS: files into our own S3, its events through SQS, and the program as a worker or as a Lambda
function, with its ledger on DynamoDB. The buckets are none that the server itself does anything with."""

import contextlib
import json
import pathlib
import signal
import subprocess
import sys

import pytest

from harness import gateway, roles
from harness.deployment import INCOMING, KEPT, TABLE, batch_of, deployed
from harness.keys import REGION
from harness.runtime_api import RuntimeApi
from harness.server import ROOT
from harness.waiting import until

KEYS = [f"plain/{number}" for number in range(12)] + ["a b+c/é&%2F.txt", "-", "bad/1", "bad/2"]
GOOD = sorted(key for key in KEYS if not key.startswith("bad"))

VERIFY = pathlib.Path(__file__).parents[2] / "deploy" / "verify.py"
sys.path.append(str(VERIFY.parent))
from probes import uploads  # noqa: E402 (of the script's folder)
from probes.report import Report  # noqa: E402
from probes.run import Run  # noqa: E402


@pytest.fixture
def deployment(make_server, tmp_path):
    with deployed(make_server, tmp_path) as deployment:
        yield deployment


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


def test_the_probes_tell_an_uploaders_credentials_from_ones_that_may_more(shared_server, monkeypatch):
    """On the server itself, whose upload API gives credentials away as the one on AWS does."""

    class Stack:
        staging, archive, s3 = "staging", "archive", shared_server.s3()
        outputs = {"ApiUrl": shared_server.web}

    def probed():
        run = Run(Stack, Report(), "verify/probes/", 0, None)
        return list(uploads.by_credentials(run, shared_server.api.token)), run.puts

    problems, puts = probed()
    assert problems == []
    assert [put.key for put in puts] == ["verify/probes/by an uploader"]
    given = {
        "endpoint": shared_server.endpoint,
        "region": REGION,
        "bucket": "staging",
        "access_key": ROOT.access_key_id,
        "secret_key": ROOT.secret_access_key,
        "session_token": None,
    }
    monkeypatch.setattr(uploads, "call", lambda *_: given)
    problems, _ = probed()
    for may in ("read its own file", "delete it", "list staging", "put another key", "put to the archive"):
        assert f"it may {may}" in problems


# What the function of the next test refuses for good.
REFUSED = ".refused"
REFUSING = f'case "$TWO_BUCKETS_KEY" in *{REFUSED}) echo refused >&2; exit 65;; *) cat >/dev/null;; esac'


@contextlib.contextmanager
def upload_api(deployment, authorization, caller_of):
    """The upload function with its role's rights, behind a gateway."""
    variables = deployment.as_role("UploadsRole") | {
        "TWO_BUCKETS_UPLOADER_ROLE_ARN": roles.arn("UploaderRole"),
        "TWO_BUCKETS_AUTHORIZATION": authorization,
    }
    if authorization == "jwt":
        variables["TWO_BUCKETS_OIDC_ADMIN_CLAIM"] = "cognito:groups=keepers"
    function = gateway.Function(deployment.folder / "uploads", variables)
    try:
        with gateway.serving(function, caller_of) as url:
            yield url
    finally:
        function.end()


def by_iam(headers):
    """As an authorizer that takes IAM's signatures, of which it believes every one here."""
    signed = headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 ")
    return gateway.by_iam() if signed and "/execute-api/aws4_request" in headers["authorization"] else None


def by_token(headers):
    """As an authorizer of tokens."""
    is_good = headers.get("authorization") == "Bearer a token"
    return gateway.by_token(sub="ada", **{"cognito:groups": "[keepers]"}) if is_good else None


@pytest.mark.parametrize(("authorization", "caller_of"), [("iam", by_iam), ("jwt", by_token)])
def test_a_deployment_that_keeps_its_promises_is_verified(deployment, authorization, caller_of):
    """The script that verifies a stack on AWS, on this one."""
    deployment.ask_for_events()
    words = ("work", "--shell", "--command", REFUSING, "--log-format", "json")
    worker = deployment.launch(*words, TWO_BUCKETS_SWEEP_INTERVAL_S="2")
    told = ["--staging", INCOMING, "--archive", KEPT, "--ledger-table", TABLE, "--queue-url", deployment.queue_url]
    told += ["--failing-suffix", REFUSED, "--within-s", "120", "--files", "20", "--clean"]
    told += ["--api-token", "a token"] if authorization == "jwt" else []
    try:
        with upload_api(deployment, authorization, caller_of) as url:
            verified = subprocess.run(
                [sys.executable, VERIFY, *told, "--api-url", url],
                env=deployment.variables,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
        rows = json.loads(deployment.run("status", "--json", "--limit", "1000", **deployment.parts()).stdout)["uploads"]
    finally:
        worker.kill()
        worker.wait()
    print(verified.stdout)
    said = verified.stdout.splitlines()
    assert verified.returncode == 0, verified.stdout + verified.stderr
    skipped = {line.removeprefix("skipped ").split(":")[0] for line in said if line.startswith("skipped")}
    of_iam = {f"{role} may what it is for and no more" for role in ("UploaderRoleArn", "FunctionRoleArn")}
    # A worker that is quick may have archived every first file of a made key.
    assert of_iam <= skipped <= of_iam | {uploads.ONCE}, verified.stdout
    assert (deployment.versions(KEPT), deployment.versions(INCOMING)) == ([], [])
    # What it was to look at came to be.
    states = [row["state"] for row in rows]
    assert (states.count("late"), states.count("failed")) == (1, 1), verified.stdout
