"""A function in Python, deployed by itself, that the `processor` invokes with credentials for exactly one version.

Our own S3 and STS, with the role that the template gives such functions; SQS and DynamoDB are moto's, and of Lambda only
Invoke is here."""

import json
import re
import sys
import urllib.parse
from pathlib import Path

import boto3
import botocore.exceptions
import pytest

from harness import lambda_service
from harness.content import sha256
from harness.deployment import INCOMING, KEPT, Kept, deployed
from harness.keys import REGION
from harness.mapping import Function, Mapping
from harness.programs import function
from harness.waiting import until

sys.path.append(str(Path(__file__).parents[1] / "deploy"))
import template  # noqa: E402 (of the template's own tests)

ARN = f"arn:aws:lambda:{REGION}:123456789012:function:digest"
ROLE_ARN = "arn:aws:iam::000000000000:role/function"


class BadFile(Exception):
    """Will not pass by trying again."""


class Digest:
    """What the user deployed: reads its file, keeps a result beside it, and tries what it should not be able to."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.seen, self.could, self.sessions = [], [], set()

    def __call__(self, event, context):
        given = context.client_context.custom
        # The default session is not for threads.
        s3 = boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=given["AWS_SESSION_TOKEN"],
        )
        (record,) = event["Records"]
        at = {
            "Bucket": record["s3"]["bucket"]["name"],
            "Key": urllib.parse.unquote_plus(record["s3"]["object"]["key"]),
            "VersionId": record["s3"]["object"]["versionId"],
        }
        content = s3.get_object(**at)["Body"].read()
        self.seen.append((at["Key"], at["VersionId"], sha256(content)))
        self.sessions.add(given["AWS_SESSION_TOKEN"])
        self.try_all(s3, at, record)
        if content == b"bad":
            raise BadFile("no digest is made of that")
        ours = record["twoBuckets"]
        s3.put_object(Bucket=ours["archiveBucket"], Key=ours["resultsPrefix"] + "digest", Body=sha256(content).encode())
        return {"sha256": sha256(content)}

    def try_all(self, s3, at, record):
        by_name = {name: at[name] for name in ("Bucket", "Key")}
        others = [version for _, version, _ in self.seen if version != at["VersionId"]]
        tries = {
            "read by name": lambda: s3.get_object(**by_name),
            "list staging": lambda: s3.list_objects_v2(Bucket=INCOMING),
            "overwrite its file": lambda: s3.put_object(**by_name, Body=b"x"),
            "delete its version": lambda: s3.delete_object(**at),
            "write to the archive": lambda: s3.put_object(Bucket=KEPT, Key=at["Key"], Body=b"x"),
            "write another's result": lambda: s3.put_object(Bucket=KEPT, Key="_results/other/v/x", Body=b"x"),
        }
        if others:
            tries["read another version"] = lambda: s3.get_object(**by_name, VersionId=others[-1])
        for what, tried in tries.items():
            try:
                tried()
            except botocore.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
                    continue
            self.could.append((what, at["Key"]))


def role():
    """What the template lets `FunctionRole` do, with these buckets; there is no key of KMS."""
    statements = []
    for policy in template.of_type(template.load(), "AWS::IAM::Policy").values():
        properties = policy["Properties"]
        if properties["Roles"] == [{"Ref": "FunctionRole"}] and "Key" not in policy["Condition"]:
            statements += properties["PolicyDocument"]["Statement"]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    for name, bucket in (("StagingBucket", INCOMING), ("ArchiveBucket", KEPT)):
        document = re.sub(rf'{{"Fn::Sub": "\${{{name}\.Arn}}([^"]*)"}}', rf'"arn:aws:s3:::{bucket}\1"', document)
    assert "Fn::" not in document and "Ref" not in document, document
    return document


@pytest.fixture
def deployment(make_server, tmp_path):
    entry = f"[[role]]\nname = 'function'\npolicy = '{role()}'\n"
    with deployed(make_server, tmp_path, visibility_timeout_s=25, config=entry) as deployment:
        yield deployment


def test_a_function_in_python_reads_its_version_and_nothing_else(deployment):
    digest = Digest(deployment.server.endpoint)
    keys = ["plain", "a b+c/ü&%2F*", *["again"] * 6, *[f"many/{number}" for number in range(20)]]
    bodies = {}
    for number, key in enumerate(keys):
        body = f"{key} {number}".encode()
        answer = deployment.s3.put_object(Bucket=INCOMING, Key=key, Body=body)
        bodies[key, answer["VersionId"]] = sha256(body)
    bad = deployment.s3.put_object(Bucket=INCOMING, Key="bad", Body=b"bad")["VersionId"]
    for key in [*keys, "bad"]:
        deployment.tell(key)
    with lambda_service.serving(ARN, digest) as url:
        variables = deployment.variables | {
            "TWO_BUCKETS_FUNCTION_ARN": ARN,
            "TWO_BUCKETS_FUNCTION_ROLE_ARN": ROLE_ARN,
            "TWO_BUCKETS_FUNCTION_PERMANENT_ERRORS": "BadFile",
            "AWS_ENDPOINT_URL_LAMBDA": url,
            "AWS_ENDPOINT_URL_STS": deployment.server.endpoint,
        }
        processor = Function(function("processor"), variables, deployment.folder / "processor.log", concurrency=2)
        mapping = Mapping(deployment, processor, pollers=2)
        try:
            until("only what is bad is left", lambda: deployment.versions(INCOMING) == ["bad"], within_s=120)
        finally:
            mapping.close()
            processor.close()
    assert digest.could == []
    # Each was called once for each version, with what that version is, in order for each key.
    assert {(key, version): content for key, version, content in digest.seen if key != "bad"} == bodies
    assert len(digest.seen) == len(bodies) + 1 == len(digest.sessions)
    assert [version for key, version, _ in digest.seen if key == "again"] == [
        version for key, version in bodies if key == "again"
    ]
    kept = Kept(deployment)
    for at, content in bodies.items():
        row = kept.by_version[at]
        assert (row["state"], row["report"]) == ("archived", {"sha256": content})
        result = deployment.s3.get_object(Bucket=KEPT, Key=f"_results/{at[0]}/{at[1]}/digest")["Body"].read()
        assert result.decode() == content
    row = kept.by_version["bad", bad]
    assert (row["state"], row["attempts"]) == ("failed", 1)
    assert "BadFile" in row["reason"] and "no digest is made of that" in row["reason"]
