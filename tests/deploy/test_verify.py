"""deploy/verify.py finds each promise broken: by a pipeline and an upload API in a few lines, on moto, that break one at a time.

That ones that keep them pass is shown here and, with the real ones, in tests/e2e/test_on_aws.py.
"""

import datetime
import hashlib
import itertools
import json
import re
import sys
import urllib.parse

import boto3
import botocore.exceptions
import pytest
from moto import mock_aws
from moto.s3.models import S3Backend
from template import ROOT

sys.path.append(str(ROOT / "deploy"))
import verify  # noqa: E402 (of the folder that is named before)
from probes import events, failing, files, late, roles, uploads  # noqa: E402
from probes.report import Report  # noqa: E402

STAGING, ARCHIVE, LEDGER = "staging", "archive", "ledger"
API, S3 = "https://api.example.com", "https://s3.example.com"
REFUSED = ".refused"
OF_API = (uploads.UPLOADER, uploads.BOUND, uploads.ONCE, uploads.FORM, uploads.PARTS)


class Pipeline:
    """Archives what is in staging, a step between two looks of the script; `breaking` is asked what to do wrong."""

    def __init__(self, breaking=None):
        self.breaking = breaking
        self.s3, self.dynamodb, self.sqs = (boto3.client(name) for name in ("s3", "dynamodb", "sqs"))
        for bucket in (STAGING, ARCHIVE):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.dynamodb.create_table(
            TableName=LEDGER, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )  # fmt: skip
        self.queue_url = self.sqs.create_queue(QueueName="wake-ups")["QueueUrl"]
        self.ids, self.tokens = itertools.count(), itertools.count(1)
        # Which upload each version is, when the newest that is archived of a key came, and which keys were made.
        self.uploads, self.newest, self.minted = {}, {}, set()

    def item(self, pk, sk, **more):
        values = {"pk": pk, "sk": sk} | more
        self.dynamodb.put_item(TableName=LEDGER, Item={name: {"S": value} for name, value in values.items() if value is not None})

    def __call__(self):
        self.dynamodb.put_item(TableName=LEDGER, Item={"pk": {"S": "table"}, "sk": {"S": "table"}, "shards": {"N": "2"}})
        found = list(self.s3.get_paginator("list_object_versions").paginate(Bucket=STAGING))
        versions = [version for page in found for version in page.get("Versions", [])]
        # Of one key the oldest first: S3 lists the newest first.
        versions.reverse()
        if self.breaking == "newest_first":
            versions.reverse()
        for version in versions:
            if (version["Key"], version["VersionId"]) not in self.uploads:
                self.process(version["Key"], version["VersionId"], version["LastModified"])
        if self.breaking != "does_not_sweep":
            for marker in [marker for page in found for marker in page.get("DeleteMarkers", [])]:
                self.s3.delete_object(Bucket=STAGING, Key=marker["Key"], VersionId=marker["VersionId"])
        if self.breaking != "deaf":
            self.receive()

    def receive(self):
        """Looks at what a message tells of, and finds nothing to do."""
        for message in self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
            (record,) = json.loads(message["Body"])["Records"]
            assert record["s3"]["bucket"]["name"] == STAGING
            key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
            if self.breaking == "archives_again":
                self.s3.put_object(Bucket=ARCHIVE, Key=key, Body=self.s3.get_object(Bucket=ARCHIVE, Key=key)["Body"].read())
            lease = {"pk": {"S": f"key#{key}"}, "sk": {"S": f"{STAGING}#lease"}, "token": {"N": str(next(self.tokens))}}
            self.dynamodb.put_item(TableName=LEDGER, Item=lease)

    def process(self, key, version, came_at):
        is_struck = key.endswith("small/0001")
        bad = self.breaking if is_struck or self.breaking in FAILING else None
        content = self.s3.get_object(Bucket=STAGING, Key=key, VersionId=version)["Body"].read()
        if key.endswith(REFUSED) and bad != "archives_what_is_refused":
            return self.set_aside(key, version, bad)
        if bad == "bytes_change":
            content += b"!"
        state, at = "archived", key
        if came_at < self.newest.get(key, came_at) and self.breaking != "goes_back":
            state, at = "late", f"_late/{hashlib.sha256(key.encode()).hexdigest()}/1-{version}"
        self.newest[key] = max(came_at, self.newest.get(key, came_at))
        archived = None
        if bad == "fails":
            state = "failed"
        elif bad != "lost":
            archived = self.s3.put_object(Bucket=ARCHIVE, Key=at, Body=content)["VersionId"]
        if bad == "archived_twice":
            self.s3.put_object(Bucket=ARCHIVE, Key=key, Body=content)
        if bad == "lost":
            archived = "gone"
        if bad != "unrecorded":
            self.record(key, version, state, came_at, archive_version_id=archived, archive_key=at if at != key else None, reason="broken" if state == "failed" else None)
        else:
            self.uploads[key, version] = None
        if bad != "stays_in_staging":
            self.s3.delete_object(Bucket=STAGING, Key=key, VersionId=version)
        return None

    def record(self, key, version, state, came_at=None, attempts="1", **more):
        upload = self.uploads.setdefault((key, version), f"{next(self.ids):026}")
        self.item(f"key#{key}", f"{STAGING}#version#{version}", upload=upload)
        if key in self.minted:
            self.item(f"key#{key}", f"{STAGING}#mint", upload=upload)
        home = "failed" if state == "failed" else "done"
        row = {"key": key, "version_id": version, "state": state, "attempts_ever": attempts, "last_modified": came_at and came_at.isoformat()}
        self.item(f"{home}#01", upload, **row, **more)

    def set_aside(self, key, version, bad=None, attempts="1"):
        self.record(key, version, "failed", attempts=attempts, reason=None if bad == "says_no_reason" else "refused")
        if bad == "drops_what_is_refused":
            self.s3.delete_object(Bucket=STAGING, Key=key, VersionId=version)

    def retry(self, upload):
        """As the upload API has it retried, which fails again."""
        ((key, version),) = [at for at, of in self.uploads.items() if of == upload]
        if self.breaking != "does_not_retry":
            self.set_aside(key, version, attempts="2")


FAILING = ("archives_what_is_refused", "says_no_reason", "drops_what_is_refused", "does_not_retry")


class Uploads:
    """The upload API, and S3's side of what it grants; `breaking` says what it does not hold a file to."""

    def __init__(self, pipeline, breaking=None, denies=None):
        self.pipeline, self.breaking, self.denies = pipeline, breaking, denies or {}
        self.grants, self.parts = [], {}
        self.s3 = pipeline.s3

    def send(self, method, url, headers=None, body=None):
        at = urllib.parse.urlsplit(url)
        path = urllib.parse.unquote(at.path)
        if not url.startswith(API):
            return self.take(method, path, headers, body)
        if "authorization" not in {name.lower() for name in headers}:
            return self.answer(401)
        if path in self.denies:
            return self.answer(self.denies[path])
        wanted = json.loads(body) if body else {}
        key = dict(urllib.parse.parse_qsl(at.query)).get("key")
        return self.api(method, path, wanted, key)

    def answer(self, status, **said):
        return status, {}, json.dumps(said or {"detail": "no"}).encode()

    def api(self, method, path, wanted, key):
        if retried := re.fullmatch("/api/uploads/(.+)/retry", path):
            self.pipeline.retry(retried[1])
            return self.answer(200, id=retried[1])
        if path == "/api/credentials":
            return self.answer(403)
        if key:
            return self.of_parts(path, wanted, key)
        grant = wanted | {"key": f"2026-11-27/{len(self.grants):026}/{wanted['filename']}"}
        self.grants.append(grant)
        self.pipeline.minted.add(grant["key"])
        at = f"{S3}/{len(self.grants) - 1}"
        if path == "/api/s3/multipart":
            grant["parts"] = {}
            return self.answer(200, key=grant["key"], uploadId=f"upload/{len(self.grants) - 1}")
        return self.answer(200, key=grant["key"], url=at, headers={"content-type": wanted["type"]}, fields={"key": grant["key"], "policy": "p"})

    def of_parts(self, path, wanted, key):
        upload, rest = re.fullmatch(r"/api/s3/multipart/upload/(\d+)/(\w+)", path).groups()
        grant = self.grants[int(upload)]
        assert grant["key"] == key
        if rest != "complete":
            return self.answer(200, url=f"{S3}/{upload}/{rest}")
        if self.breaking == "loses_parts":
            return self.answer(200, key=key)
        if "done" not in grant or self.breaking == "completes_twice":
            grant["done"] = self.put(key, b"".join(grant["parts"][part["PartNumber"]] for part in wanted["parts"]))
        elif self.breaking == "forgets_completion":
            return self.answer(404)
        return self.answer(200, key=key)

    def take(self, method, path, headers, body):
        number, _, part = path.removeprefix("/").partition("/")
        grant = self.grants[int(number)]
        if part:
            grant["parts"][int(part)] = body
            return 200, {"etag": f'"{part}"'}, b""
        if method == "POST":
            body = form_file(headers["content-type"], body)
            if len(body) > grant["size_max"] and self.breaking != "form_of_any_size":
                return 400, {}, b"<Code>EntityTooLarge</Code>"
            return 204, {"x-amz-version-id": self.put(grant["key"], body)}, b""
        if len(body) != grant["size"] and self.breaking != "any_size":
            return 403, {}, b"<Code>SignatureDoesNotMatch</Code>"
        if hashlib.sha256(body).hexdigest() != grant.get("sha256") and "sha256" in grant and self.breaking not in ("any_size", "any_checksum"):
            return 400, {}, b"<Code>BadDigest</Code>"
        if grant.get("is_taken") and self.breaking != "any_number":
            return 412, {}, b"<Code>PreconditionFailed</Code>"
        grant["is_taken"] = self.breaking != "archives_at_once"
        version = self.put(grant["key"], body)
        if self.breaking == "archives_at_once":
            self.pipeline()
        return 200, {"x-amz-version-id": version}, b""

    def put(self, key, content):
        return self.s3.put_object(Bucket=STAGING, Key=key, Body=content)["VersionId"]


def form_file(content_type, body):
    """The file in a form, which comes last."""
    boundary = content_type.partition("boundary=")[2].encode()
    return body.split(b"\r\n\r\n")[-1].removesuffix(b"\r\n--" + boundary + b"--\r\n")


@pytest.fixture
def aws(no_real_account, monkeypatch):
    """moto dates an upload in parts by its end; S3 by its beginning."""
    complete = S3Backend.complete_multipart_upload

    def dated_by_beginning(*asked):
        key = complete(*asked)
        key.last_modified -= datetime.timedelta(hours=1)
        return key

    monkeypatch.setattr(S3Backend, "complete_multipart_upload", dated_by_beginning)
    with mock_aws():
        yield


def verified(pipeline, *more, within_s="600"):
    said = []
    words = ["--staging", STAGING, "--archive", ARCHIVE, "--ledger-table", LEDGER, "--files", "5", "--within-s", within_s, *more]
    return verify.main(words, pause=pipeline, say=said.append), "\n".join(said)


def verified_all(monkeypatch, pipeline, api=None, within_s="600"):
    """With everything given that a probe may need, and fewer files, of which small/0001 is the one that suffers."""
    monkeypatch.setattr(files, "AWKWARD", files.AWKWARD[:1])
    monkeypatch.setattr(uploads, "send", (api or Uploads(pipeline)).send)
    more = ["--files", "2", "--api-url", API, "--api-token", "token", "--queue-url", pipeline.queue_url, "--failing-suffix", REFUSED]
    return verified(pipeline, *more, within_s=within_s)


def test_a_pipeline_that_keeps_its_promises_passes_and_its_files_stay(aws):
    pipeline = Pipeline()
    code, said = verified(pipeline)
    assert (code, said.count("FAILED")) == (0, 0), said
    kept = pipeline.s3.list_object_versions(Bucket=ARCHIVE)["Versions"]
    assert len(kept) == 5 + len(files.AWKWARD) + 4 + 1 + 2 + 1
    assert said.count("\nskipped ") == len(OF_API) + 1 + 2 + 2, said


def test_a_stack_that_keeps_its_promises_passes_each_probe(aws, monkeypatch):
    pipeline = Pipeline()
    code, said = verified_all(monkeypatch, pipeline)
    assert (code, said.count("FAILED")) == (0, 0), said
    for claim in (*OF_API[1:], late.CLAIM, events.AGAIN, events.SWEPT, failing.ASIDE, failing.RETRIED):
        assert f"ok      {claim}" in said, said
    assert len(pipeline.s3.list_object_versions(Bucket=ARCHIVE, Prefix="_late/")["Versions"]) == 1


def test_where_a_store_dates_uploads_in_parts_by_their_end_the_last_one_is_current(no_real_account):
    with mock_aws():
        pipeline = Pipeline()
        code, said = verified(pipeline)
        assert code == 0, said
        assert f"ok      {late.CLAIM}" in said
        assert "Versions" not in pipeline.s3.list_object_versions(Bucket=ARCHIVE, Prefix="_late/")


def test_only_what_it_made_is_removed_when_it_is_told(aws, monkeypatch):
    pipeline = Pipeline()
    others = {STAGING: "2026-11-27/of somebody else.refused", ARCHIVE: "verify/of somebody else"}
    for bucket, key in others.items():
        pipeline.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    api = Uploads(pipeline)
    monkeypatch.setattr(uploads, "send", api.send)
    code, said = verified(pipeline, "--clean", "--api-url", API, "--api-token", "token", "--failing-suffix", REFUSED)
    assert code == 0, said
    assert len(api.grants) == 4
    for bucket, key in others.items():
        assert [version["Key"] for version in pipeline.s3.list_object_versions(Bucket=bucket)["Versions"]] == [key]


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
        ("goes_back", late.CLAIM),
        ("goes_back", "the current version of each key is the last that was put"),
        ("does_not_sweep", events.SWEPT),
        ("archives_again", events.AGAIN),
        ("deaf", events.AGAIN),
        ("archives_what_is_refused", failing.ASIDE),
        ("says_no_reason", failing.ASIDE),
        ("drops_what_is_refused", failing.ASIDE),
        ("does_not_retry", failing.RETRIED),
    ],
)
def test_a_broken_promise_is_found(aws, monkeypatch, breaking, claim):
    # What never comes is given up soon.
    never = breaking in ("unrecorded", "stays_in_staging", "does_not_sweep", "deaf", "does_not_retry")
    code, said = verified_all(monkeypatch, Pipeline(breaking), within_s="1" if never else "600")
    assert code == 1
    assert f"FAILED  {claim}" in said, said


@pytest.mark.parametrize(
    ("breaking", "claim"),
    [
        ("any_size", uploads.BOUND),
        ("any_checksum", uploads.BOUND),
        ("any_number", uploads.ONCE),
        ("form_of_any_size", uploads.FORM),
        ("loses_parts", uploads.PARTS),
        ("completes_twice", uploads.PARTS),
        ("forgets_completion", uploads.PARTS),
    ],
)
def test_a_grant_that_binds_too_little_is_found(aws, monkeypatch, breaking, claim):
    pipeline = Pipeline()
    code, said = verified_all(monkeypatch, pipeline, Uploads(pipeline, breaking))
    assert code == 1
    assert [line for line in said.splitlines() if line.startswith("FAILED")] == [f"FAILED  {claim}"], said


def test_a_second_file_behind_one_that_is_archived_is_an_upload_of_its_own(aws, monkeypatch):
    pipeline = Pipeline()
    code, said = verified_all(monkeypatch, pipeline, Uploads(pipeline, "archives_at_once"))
    assert code == 0, said
    assert f"skipped {uploads.ONCE}" in said


@pytest.mark.parametrize(("status", "word"), [(403, "skipped"), (404, "skipped"), (503, "FAILED")])
def test_what_the_api_may_refuse_is_skipped_and_its_failures_are_failures(aws, monkeypatch, status, word):
    pipeline = Pipeline()
    _, said = verified_all(monkeypatch, pipeline, Uploads(pipeline, denies={"/api/signedurl": status, "/api/form": status}))
    for claim in (uploads.BOUND, uploads.ONCE, uploads.FORM):
        assert f"{word:<8}{claim}" in said, said
    assert f"ok      {uploads.PARTS}" in said


def test_an_api_that_is_not_there_is_a_failure(aws, monkeypatch):
    pipeline = Pipeline()
    monkeypatch.setattr(files, "AWKWARD", [])
    code, said = verified(pipeline, "--files", "1", "--api-url", "http://127.0.0.1:1", "--failing-suffix", REFUSED)
    assert code == 1
    for claim in (*OF_API, failing.RETRIED):
        assert f"FAILED  {claim}\n        the upload API is not reached" in said, said


def test_what_the_operator_may_not_do_is_skipped(aws, monkeypatch):
    pipeline = Pipeline()
    refusal = botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "SendMessage")

    class Denied:
        def send_message(self, **_):
            raise refusal

    client = boto3.Session.client
    monkeypatch.setattr(boto3.Session, "client", lambda self, name, **how: Denied() if name == "sqs" else client(self, name, **how))
    code, said = verified(pipeline, "--queue-url", pipeline.queue_url)
    assert code == 0
    assert f"skipped {events.AGAIN}: sqs:SendMessage: AccessDenied" in said


def test_no_message_is_received(aws, monkeypatch):
    """Who receives others' messages brings them nearer to the dead letters."""
    pipeline = Pipeline("deaf")
    pipeline.sqs.send_message(QueueUrl=pipeline.queue_url, MessageBody="of somebody else")
    verified_all(monkeypatch, pipeline, within_s="1")
    messages = pipeline.sqs.receive_message(QueueUrl=pipeline.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in messages] == ["1", "1"]
    assert "of somebody else" in [message["Body"] for message in messages]


def test_buckets_without_versions_are_found(aws):
    pipeline = Pipeline()
    pipeline.s3.put_bucket_versioning(Bucket=STAGING, VersioningConfiguration={"Status": "Suspended"})
    _, said = verified(pipeline, within_s="0")
    assert "FAILED  every write has a version id" in said


def test_calls_are_signed_for_the_gateway_without_a_token(no_real_account):
    headers = uploads.signed_by_iam(boto3.Session(region_name="eu-central-1"), "POST", API + "/api/signedurl", {"content-type": "application/json"}, b"{}")
    assert "/eu-central-1/execute-api/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "none" and headers["content-type"] == "application/json"


def test_a_role_that_may_too_much_is_found():
    asked = []

    class Iam:
        def client(self, name):
            assert name == "iam"
            return self

        def simulate_principal_policy(self, PolicySourceArn, ActionNames, ResourceArns):
            asked.append((ActionNames[0], ResourceArns[0]))
            return {"EvaluationResults": [{"EvalDecision": "allowed"}]}

    class Stack:
        session, staging, archive = Iam(), STAGING, ARCHIVE
        outputs = {"UploaderRoleArn": "arn:aws:iam::1:role/u", "FunctionRoleArn": "arn:aws-cn:iam::1:role/f"}

    said = []
    report = Report(said.append)
    roles.check_roles(Stack, report)
    assert len(report.failed) == 2
    assert any("s3:PutObject on staging/a/../b" in line for line in said)
    assert ("s3:PutObject", "arn:aws:s3:::staging/a") in asked
    assert ("s3:GetObjectVersion", "arn:aws-cn:s3:::staging/a") in asked
