"""deploy/verify.py finds each promise broken: by a pipeline in a few lines, on moto, that breaks one at a time.

That a pipeline that keeps them passes is shown here and, with the real one, in tests/e2e/test_on_aws.py.
"""

import importlib.util
import itertools

import boto3
import pytest
from moto import mock_aws
from template import ROOT

spec = importlib.util.spec_from_file_location("verify", ROOT / "deploy" / "verify.py")
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)

STAGING, ARCHIVE, LEDGER = "staging", "archive", "ledger"


class Pipeline:
    """Archives what is in staging, a step between two looks of the script; `breaking` is asked what to do wrong."""

    def __init__(self, breaking=None):
        self.breaking = breaking
        self.s3, self.dynamodb = boto3.client("s3"), boto3.client("dynamodb")
        for bucket in (STAGING, ARCHIVE):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.dynamodb.create_table(
            TableName=LEDGER, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )  # fmt: skip
        self.ids = itertools.count()

    def item(self, pk, sk, **more):
        values = {"pk": pk, "sk": sk} | more
        self.dynamodb.put_item(TableName=LEDGER, Item={name: {"S": value} for name, value in values.items() if value is not None})

    def __call__(self):
        self.dynamodb.put_item(TableName=LEDGER, Item={"pk": {"S": "table"}, "sk": {"S": "table"}, "shards": {"N": "2"}})
        versions = [version for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=STAGING) for version in page.get("Versions", [])]
        # Of one key the oldest first: S3 lists the newest first.
        versions.reverse()
        if self.breaking == "newest_first":
            versions.reverse()
        for version in versions:
            self.process(version["Key"], version["VersionId"])

    def process(self, key, version):
        is_struck = key.endswith("small/0001")
        bad = self.breaking if is_struck else None
        content = self.s3.get_object(Bucket=STAGING, Key=key, VersionId=version)["Body"].read()
        if bad == "bytes_change":
            content += b"!"
        state, archived = "archived", None
        if bad == "fails":
            state = "failed"
        elif bad != "lost":
            archived = self.s3.put_object(Bucket=ARCHIVE, Key=key, Body=content)["VersionId"]
        if bad == "archived_twice":
            self.s3.put_object(Bucket=ARCHIVE, Key=key, Body=content)
        if bad == "lost":
            archived = "gone"
        upload = f"{next(self.ids):026}"
        if bad != "unrecorded":
            self.item(f"key#{key}", f"{STAGING}#version#{version}", upload=upload)
            home = "failed" if state == "failed" else "done"
            self.item(f"{home}#01", upload, key=key, state=state, archive_version_id=archived, reason="broken" if state == "failed" else None)
        if bad != "stays_in_staging":
            self.s3.delete_object(Bucket=STAGING, Key=key, VersionId=version)


@pytest.fixture
def aws(no_real_account):
    with mock_aws():
        yield


def verified(pipeline, *more, within_s="600"):
    said = []
    words = ["--staging", STAGING, "--archive", ARCHIVE, "--ledger-table", LEDGER, "--files", "5", "--within-s", within_s, *more]
    return verify.main(words, pause=pipeline, say=said.append), "\n".join(said)


def test_a_pipeline_that_keeps_its_promises_passes_and_its_files_stay(aws):
    pipeline = Pipeline()
    code, said = verified(pipeline)
    assert (code, said.count("FAILED")) == (0, 0), said
    kept = pipeline.s3.list_object_versions(Bucket=ARCHIVE)["Versions"]
    assert len(kept) == 5 + len(verify.AWKWARD) + 4 + 1


def test_only_what_it_made_is_removed_when_it_is_told(aws):
    pipeline = Pipeline()
    pipeline.s3.put_object(Bucket=ARCHIVE, Key="verify/of somebody else", Body=b"")
    code, said = verified(pipeline, "--clean")
    assert code == 0, said
    assert [version["Key"] for version in pipeline.s3.list_object_versions(Bucket=ARCHIVE)["Versions"]] == ["verify/of somebody else"]


@pytest.mark.parametrize(
    ("breaking", "claim"),
    [
        ("bytes_change", "every archived version has the bytes that were put"),
        ("fails", "no upload failed"),
        ("lost", "what is recorded is in the archive, once each"),
        ("archived_twice", "what is recorded is in the archive, once each"),
        ("newest_first", "the current version of each key is the last that was put"),
        ("unrecorded", "every upload has ended and is in the ledger"),
        ("stays_in_staging", "nothing is left in staging"),
    ],
)
def test_a_broken_promise_is_found(aws, breaking, claim):
    # What never settles is given up after one look.
    never = breaking in ("unrecorded", "stays_in_staging")
    pipeline = Pipeline(breaking)
    if never:
        looks = itertools.count()
        whole = pipeline

        def pipeline():
            if next(looks) == 0:
                whole()

    code, said = verified(pipeline, within_s="1" if never else "600")
    assert code == 1
    assert f"FAILED  {claim}" in said, said


def test_buckets_without_versions_are_found(aws):
    pipeline = Pipeline()
    pipeline.s3.put_bucket_versioning(Bucket=STAGING, VersioningConfiguration={"Status": "Suspended"})
    _, said = verified(pipeline, within_s="0")
    assert "FAILED  every write has a version id" in said


def test_a_role_that_may_too_much_is_found(aws, monkeypatch):
    asked = []

    class Iam:
        def simulate_principal_policy(self, PolicySourceArn, ActionNames, ResourceArns):
            asked.append((ActionNames[0], ResourceArns[0]))
            return {"EvaluationResults": [{"EvalDecision": "allowed"}]}

    client = boto3.client
    monkeypatch.setattr(verify.boto3, "client", lambda name, **how: Iam() if name == "iam" else client(name, **how))

    class Stack:
        staging, archive = STAGING, ARCHIVE
        outputs = {"UploaderRoleArn": "arn:aws:iam::1:role/u", "FunctionRoleArn": "arn:aws-cn:iam::1:role/f"}

    said = []
    report = verify.Report(said.append)
    verify.check_roles(Stack, report)
    assert len(report.failed) == 2
    assert any("s3:PutObject on staging/a/../b" in line for line in said)
    assert ("s3:PutObject", "arn:aws:s3:::staging/a") in asked
    assert ("s3:GetObjectVersion", "arn:aws-cn:s3:::staging/a") in asked
