"""Cold start, warm time and memory of the packaged `processor` beside a handler as tutorials have it, in one run.

Both are started as Lambda starts a function, are given the same files in the same buckets of our own S3 by the same Runtime
API, and take turns. They do not do the same: the tutorial's handler copies and deletes by name and forgets; the processor
reads each file whole, describes it, verifies the copy and keeps a ledger, which here is moto's, in Python, and takes most
of its warm time. Run by `cargo xtask bench lambda`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from urllib.parse import quote_plus

sys.path.insert(0, str(Path(__file__).parent / "e2e"))

import boto3  # noqa: E402
from harness import moto  # noqa: E402
from harness.content import MIB  # noqa: E402
from harness.keys import REGION  # noqa: E402
from harness.runtime_api import RuntimeApi  # noqa: E402
from harness.server import ROOT, Server  # noqa: E402

STAGING, ARCHIVE, TABLE, QUEUE = "incoming", "kept", "ledger", "wake-ups"
# The same that is shown to lose files: looks, copies to the other bucket, deletes here.
TUTORIAL = Path(__file__).parent / "e2e" / "functions" / "tutorial.py"


def event_of(key, version, size):
    """S3's event of one version, as far as either of them reads it."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": REGION,
                "eventTime": "2026-11-26T12:00:00.000Z",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": STAGING}, "object": {"key": quote_plus(key), "size": size, "versionId": version}},
            }
        ]
    }


def batch_of(event, number):
    record = {
        "messageId": f"message-{number}",
        "receiptHandle": f"handle-{number}",
        "body": json.dumps(event),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:123456789012:{QUEUE}",
        "awsRegion": REGION,
    }
    return {"Records": [record]}


class Case:
    """One of the two, and what was measured of it."""

    def __init__(self, name, command, variables, folder, is_batch, zipped):
        self.name, self.command, self.variables, self.folder = name, command, variables, folder
        self.is_batch, self.zipped = is_batch, zipped
        self.cold, self.warm, self.memory = [], [], []

    def round(self, s3, number, warm, size):
        api = RuntimeApi()
        # A function that is killed breaks off its poll.
        api.server.handle_error = lambda *_: None
        log = (self.folder / f"{self.name}.log").open("ab")
        environment = self.variables | {"AWS_LAMBDA_RUNTIME_API": api.address}

        def invoke(at):
            key = f"{self.name}/{number}/{at}"
            version = s3.put_object(Bucket=STAGING, Key=key, Body=b"x" * size)["VersionId"]
            event = event_of(key, version, size)
            return key, batch_of(event, at) if self.is_batch else event

        key, event = invoke("cold")
        began = time.monotonic()
        process = subprocess.Popen(self.command, env=environment, cwd=self.folder, stdout=log, stderr=log)
        try:
            self.answered(api, event)
            self.cold.append(time.monotonic() - began)
            keys = [key]
            for at in range(warm):
                key, event = invoke(at)
                keys.append(key)
                began = time.monotonic()
                self.answered(api, event)
                self.warm.append(time.monotonic() - began)
            status = Path(f"/proc/{process.pid}/status").read_text()
            self.memory.append(int(status.split("VmHWM:")[1].split()[0]) * 1024)
        finally:
            process.kill()
            process.wait()
            api.close()
            log.close()
        # What is measured is what was to be done.
        for key in keys:
            assert s3.head_object(Bucket=ARCHIVE, Key=key)["ContentLength"] == size

    def answered(self, api, event):
        kind, answer = api.invoke(event)
        # The tutorial's answers nothing.
        assert kind == "response" and not (answer or {}).get("batchItemFailures"), (self.name, kind, answer)


def measure(flags, folder):
    sqs, dynamodb = flags.sqs, flags.dynamodb
    server = Server(folder).start()
    try:
        s3 = server.s3()
        for bucket in (STAGING, ARCHIVE):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        keys = {"region_name": REGION, "aws_access_key_id": ROOT.access_key_id, "aws_secret_access_key": ROOT.secret_access_key}
        queue_url = boto3.client("sqs", endpoint_url=sqs, **keys).create_queue(QueueName=QUEUE)["QueueUrl"]
        boto3.client("dynamodb", endpoint_url=dynamodb, **keys).create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        function = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "AWS_LAMBDA_FUNCTION_NAME": "function",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "function",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/26/[$LATEST]0123456789abcdef",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ROOT.access_key_id,
            "AWS_SECRET_ACCESS_KEY": ROOT.secret_access_key,
            "AWS_ENDPOINT_URL_S3": server.endpoint,
            "AWS_ENDPOINT_URL_SQS": sqs,
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb,
        }
        with zipfile.ZipFile(folder / "tutorial.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.write(TUTORIAL, "tutorial.py")
        ours = {
            "TWO_BUCKETS_STAGING": STAGING,
            "TWO_BUCKETS_ARCHIVE": ARCHIVE,
            "TWO_BUCKETS_LEDGER_TABLE": TABLE,
            "TWO_BUCKETS_QUEUE_URL": queue_url,
            "TWO_BUCKETS_FUNCTION_LIMIT_S": "30",
            "TWO_BUCKETS_LOG": "warn",
        }
        tutorial = [sys.executable, "-m", "awslambdaric", "tutorial.lambda_handler"]
        told = {"ARCHIVE_BUCKET": ARCHIVE, "PYTHONPATH": str(TUTORIAL.parent), "LAMBDA_TASK_ROOT": str(TUTORIAL.parent)}
        cases = [
            Case("processor", [flags.processor], function | ours, folder, True, flags.zip.stat().st_size),
            Case("tutorial", tutorial, function | told, folder, False, (folder / "tutorial.zip").stat().st_size),
        ]
        for number in range(flags.rounds):
            for case in cases if number % 2 == 0 else reversed(cases):
                case.round(s3, number, flags.warm, flags.size)
    except AssertionError:
        for log in folder.glob("*.log"):
            print(f"--- {log.name}\n{log.read_text()[-2000:]}", file=sys.stderr)
        raise
    finally:
        server.kill()
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processor", type=Path, required=True)
    parser.add_argument("--zip", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm", type=int, default=50)
    parser.add_argument("--size", type=int, default=4096)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="two-buckets-lambda-") as folder:
        folder = Path(folder)
        with moto.serving(folder / "sqs.log") as flags.sqs, moto.serving(folder / "dynamodb.log", one_at_a_time=True) as flags.dynamodb:
            processor, tutorial = measure(flags, folder)
    print(f"{flags.rounds} rounds in turn, a cold start and {flags.warm} warm files of {flags.size} bytes in each; medians")
    print(f"{'':<34}{'processor':>12}{'tutorial':>12}{'ratio':>9}")
    rows = [
        ("cold start with its first file (ms)", 1000 * statistics.median(processor.cold), 1000 * statistics.median(tutorial.cold)),
        ("a file when warm (ms)", 1000 * statistics.median(processor.warm), 1000 * statistics.median(tutorial.warm)),
        ("most memory (MiB)", statistics.median(processor.memory) / MIB, statistics.median(tutorial.memory) / MIB),
        ("zip (KiB)", processor.zipped / 1024, tutorial.zipped / 1024),
    ]
    for name, ours, theirs in rows:
        print(f"{name:<34}{ours:>13.1f}{theirs:>12.1f}{ours / theirs:>9.2f}")
    print("the tutorial's zip is its source: Python and boto3 are Lambda's. The processor's warm time is moto's for the most part.")


if __name__ == "__main__":
    main()
