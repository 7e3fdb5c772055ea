"""Does what the file's text tells it to, so that a test can have it do anything."""

import os
import subprocess
import sys
import time
import urllib.parse

import boto3
from botocore.exceptions import ClientError

s3 = boto3.client("s3")


def handler(event, context):
    answers = []
    for record in event["Records"]:
        told = record["s3"]
        key = urllib.parse.unquote_plus(told["object"]["key"])
        body = s3.get_object(Bucket=told["bucket"]["name"], Key=key)["Body"].read()
        words = body.decode().split(" ", 1)
        print(f"told to {words[0]} by {key}")
        answers.append(ACTIONS[words[0]](record, context, *words[1:]))
    return answers[0] if len(answers) == 1 else {"answers": answers}


def echo(record, context):
    return {
        "record": record,
        "request_id": context.aws_request_id,
        "function": context.function_name,
        "arn": context.invoked_function_arn,
        "memory_mb": context.memory_limit_in_mb,
        "left_ms": context.get_remaining_time_in_millis(),
    }


def variables(record, context):
    """The names only; of some the values."""
    shown = ["AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "ARCHIVE_BUCKET", "STAGING_BUCKET", "GREETING", "TMPDIR"]
    return {"names": sorted(os.environ), "values": {name: os.environ.get(name) for name in shown}}


def fail(record, context, kind="RuntimeError"):
    raise {"RuntimeError": RuntimeError, "ValueError": ValueError}[kind](f"told to raise {kind}")


def leave(record, context):
    sys.stdout.flush()
    os._exit(7)


def hang(record, context):
    time.sleep(600)


def eat(record, context):
    return len(bytearray(4 << 30))


def children(record, context):
    """Leaves a process behind that would go on for long."""
    child = subprocess.Popen(["sleep", "599"])
    return {"pid": child.pid}


def reach(record, context):
    """Tries what it must not be able to do, and says what each attempt was answered."""
    staging, key = record["s3"]["bucket"]["name"], urllib.parse.unquote_plus(record["s3"]["object"]["key"])
    archive = os.environ["ARCHIVE_BUCKET"]
    attempts = {
        "list staging": lambda: s3.list_objects_v2(Bucket=staging),
        "list archive": lambda: s3.list_objects_v2(Bucket=archive),
        "list buckets": lambda: s3.list_buckets(),
        "read another upload": lambda: s3.get_object(Bucket=staging, Key="another"),
        "delete another upload": lambda: s3.delete_object(Bucket=staging, Key="another"),
        "read what is archived": lambda: s3.get_object(Bucket=archive, Key="archived before"),
        "delete what is archived": lambda: s3.delete_object(Bucket=archive, Key="archived before"),
        "read another bucket": lambda: s3.get_object(Bucket="private", Key="secret"),
        "write another bucket": lambda: s3.put_object(Bucket="private", Key="secret", Body=b"x"),
        "write staging": lambda: s3.put_object(Bucket=staging, Key=key, Body=b"x"),
        "archive other bytes": lambda: s3.put_object(Bucket=archive, Key=key, Body=b"x"),
        "configure staging": lambda: s3.delete_bucket_cors(Bucket=staging),
    }
    answers = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            answers[name] = "done"
        except ClientError as error:
            answers[name] = error.response["Error"]["Code"]
    s3.put_object(Bucket=archive, Key=f"made from/{key}", Body=b"made")
    return answers


ACTIONS = {
    action.__name__: action
    for action in (echo, variables, fail, leave, hang, eat, children, reach)
}
