"""What tutorials show: look at the file, copy it to the archive by name, delete it by name."""

import os
import urllib.parse

import boto3

ARCHIVE = os.environ["ARCHIVE_BUCKET"]
s3 = boto3.client("s3")


def handler(event, context):
    record = event["Records"][0]["s3"]
    bucket = record["bucket"]["name"]
    key = urllib.parse.unquote_plus(record["object"]["key"])
    size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    s3.copy({"Bucket": bucket, "Key": key}, ARCHIVE, key)
    s3.delete_object(Bucket=bucket, Key=key)
    return {"size": size}
