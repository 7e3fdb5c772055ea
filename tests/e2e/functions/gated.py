"""Waits until it is let go on, then does with its file as tutorials do."""

import hashlib
import os
import time
import urllib.parse

import boto3


def handler(event, context):
    [record] = event["Records"]
    bucket = record["s3"]["bucket"]["name"]
    key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
    print(f"{key} begins", flush=True)
    left_ms = context.get_remaining_time_in_millis()
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.05)
    s3 = boto3.client("s3")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    if "ONLY_READ" not in os.environ:
        s3.copy({"Bucket": bucket, "Key": key}, os.environ["ARCHIVE_BUCKET"], key)
        s3.delete_object(Bucket=bucket, Key=key)
    return {"left_ms": left_ms, "sha256": hashlib.sha256(body).hexdigest()}
