"""A function in Python of the user's own, that the `processor` invokes with credentials for exactly one version."""

import contextlib
import threading
import urllib.parse

import boto3

from harness import lambda_service, roles
from harness.keys import REGION

ARN = f"arn:aws:lambda:{REGION}:123456789012:function:digest"

# Clients cannot be made in several threads of one session; what all are made from is read once in it.
session, making = boto3.session.Session(), threading.Lock()


class BadFile(Exception):
    """Will not pass by trying again."""


def s3_of(context, endpoint):
    """S3 with what this invocation was given for it."""
    given = context.client_context.custom
    with making:
        return session.client(
            "s3",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=given["AWS_SESSION_TOKEN"],
        )


def version_of(event):
    """The one version that an event is of, as calls of S3 take it."""
    (record,) = event["Records"]
    return {
        "Bucket": record["s3"]["bucket"]["name"],
        "Key": urllib.parse.unquote_plus(record["s3"]["object"]["key"]),
        "VersionId": record["s3"]["object"]["versionId"],
    }


@contextlib.contextmanager
def serving(deployment, handler):
    """Serves it for as long as it lasts, and gives the variables of a processor that invokes it."""
    with lambda_service.serving(ARN, handler) as url:
        yield deployment.as_role("ProcessorRole") | {
            "TWO_BUCKETS_FUNCTION_ARN": ARN,
            "TWO_BUCKETS_FUNCTION_ROLE_ARN": roles.arn("FunctionRole"),
            "TWO_BUCKETS_FUNCTION_PERMANENT_ERRORS": BadFile.__name__,
            "AWS_ENDPOINT_URL_LAMBDA": url,
        }
