"""A function of the well-known kind: looks at the file, copies it to the archive by name, deletes it by name, and
swallows whatever goes wrong. On AWS, with overwrites going on, it loses files."""

import os
import urllib.parse

import boto3

ARCHIVE_BUCKET = os.environ["ARCHIVE_BUCKET"]

s3 = boto3.client("s3")


def lambda_handler(event, context):
    for record in event["Records"]:
        bucket = record["s3"]["bucket"]["name"]
        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        try:
            process(bucket, key)
            archive(bucket, key)
        except Exception as problem:
            print(f"{key} could not be processed: {problem}")


def process(bucket, key):
    head = s3.head_object(Bucket=bucket, Key=key)
    print(f"{key} has {head['ContentLength']} bytes of {head['ContentType']}")


def archive(bucket, key):
    s3.copy({"Bucket": bucket, "Key": key}, ARCHIVE_BUCKET, key)
    s3.delete_object(Bucket=bucket, Key=key)
