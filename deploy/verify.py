"""Checks a deployed stack against what it promises: `cargo xtask verify --stack NAME`, or with boto3 `python deploy/verify.py`.

It puts files of its own under one prefix, waits, and looks at everything that became of them: each is archived once, with
the same bytes, recorded in the ledger, and gone from staging. Then it tries what nobody but the pipeline may do. It needs
credentials that may put to and list staging, read and list the archive, and read the ledger; what more a probe needs and
does not get is said to be skipped. It removes nothing unless told (`--clean`), and then only what it made.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.exceptions

# What clients, lists, event JSON and signatures are known to break. Keys with `..` are refused by the uploaders' roles.
AWKWARD = ["a key with  spaces.txt", "1+1=2.txt", "a%20b%2Fc.txt", "grüße/日本語.txt", "👩‍👧 photo.jpg", "two//slashes", "what?x=1&y=2#part;z.txt", "<a href='x'>&amp;</a>", "\"quoted\" it's", "ä" * 400]
# The least that a part of several may have (S3 API, UploadPart).
PART = 5 << 20
PAUSE_S = 2
# Where a row can be that is not owed anything, of crates/aws/src/ledger/rows.rs.
ENDED = ("archived", "late", "duplicate", "failed")


@dataclasses.dataclass
class Put:
    """A version that was put, and its bytes' digest."""

    key: str
    version: str
    sha256: str


class Report:
    """What was found, said line by line as it is found."""

    def __init__(self, say=print):
        self.say = say
        self.failed, self.unchecked = [], []

    def claim(self, claim, problems):
        problems = list(problems)
        self.say(f"{'FAILED' if problems else 'ok':<8}{claim}")
        for problem in problems[:10]:
            self.say(f"        {problem}")
        if len(problems) > 10:
            self.say(f"        and {len(problems) - 10} more")
        if problems:
            self.failed.append(claim)

    def skipped(self, claim, why):
        self.say(f"{'skipped':<8}{claim}: {why}")
        self.unchecked.append(claim)

    def end(self):
        """The last line, and the exit code."""
        if self.failed:
            self.say(f"{len(self.failed)} claims failed")
        elif self.unchecked:
            self.say(f"what was checked holds; {len(self.unchecked)} were skipped")
        else:
            self.say("all of it holds")
        return 1 if self.failed else 0


class Ledger:
    """The ledger's rows, by its layout (crates/aws/src/ledger/mod.rs)."""

    def __init__(self, client, table):
        self.client, self.table = client, table
        row = self.row("table", "table")
        # Nothing was noted yet where it is not there.
        self.shards = int(row["shards"]["N"]) if row else 0

    def row(self, pk, sk):
        got = self.client.get_item(TableName=self.table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True)
        return got.get("Item")

    def of(self, bucket, put):
        """The row of the upload that this version is, if the ledger knows it."""
        finder = self.row(f"key#{put.key}", f"{bucket}#version#{put.version}")
        if not finder:
            return None
        upload = finder["upload"]["S"]
        for home in ("done", "failed", "open", "waiting", "job"):
            for shard in range(self.shards):
                row = self.row(f"{home}#{shard:02x}", upload)
                if row:
                    return {name: next(iter(value.values())) for name, value in row.items()}
        return None


class Stack:
    """Where a stack has its parts."""

    def __init__(self, flags):
        self.outputs = {}
        if flags.stack:
            (stack,) = boto3.client("cloudformation").describe_stacks(StackName=flags.stack)["Stacks"]
            self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        given = {"StagingBucket": flags.staging, "ArchiveBucket": flags.archive, "LedgerTable": flags.ledger_table, "ApiUrl": flags.api_url}
        self.outputs |= {name: value for name, value in given.items() if value}
        missing = [name for name in ("StagingBucket", "ArchiveBucket", "LedgerTable") if name not in self.outputs]
        if missing:
            sys.exit(f"verify: give --stack, or what it would tell: {', '.join(missing)}")
        self.staging, self.archive = self.outputs["StagingBucket"], self.outputs["ArchiveBucket"]
        self.s3, self.dynamodb = boto3.client("s3"), boto3.client("dynamodb")
        if not self.shards():
            # The first wake-up makes it.
            self.ledger = None

    def shards(self):
        self.ledger = Ledger(self.dynamodb, self.outputs["LedgerTable"])
        return self.ledger.shards

    def row(self, put):
        if self.ledger is None and not self.shards():
            self.ledger = None
            return None
        return self.ledger.of(self.staging, put)

    def versions(self, bucket, prefix):
        found = {"Versions": [], "DeleteMarkers": []}
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for kind, all_of_kind in found.items():
                all_of_kind += page.get(kind, [])
        return found["Versions"], found["DeleteMarkers"]


def put_files(stack, prefix, files):
    """Puts one of everything, and says what it put, in order."""
    puts = []

    def put(name, content):
        written = stack.s3.put_object(Bucket=stack.staging, Key=prefix + name, Body=content)
        puts.append(Put(prefix + name, written.get("VersionId"), hashlib.sha256(content).hexdigest()))

    for number in range(files):
        put(f"small/{number:04}", f"{prefix}{number}".encode() * (number % 50))
    for name in AWKWARD:
        put(f"awkward/{name}", name.encode())
    put("twice/changed", b"the first")
    put("twice/changed", b"the second, put while the first may be in work")
    put("twice/same", b"one content")
    put("twice/same", b"one content")
    key, parts = prefix + "in parts", [b"p" * PART, b"and a last one"]
    upload = stack.s3.create_multipart_upload(Bucket=stack.staging, Key=key)["UploadId"]
    named = {"Bucket": stack.staging, "Key": key, "UploadId": upload}
    done = [
        {"PartNumber": number, "ETag": stack.s3.upload_part(**named, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate(parts, 1)
    ]
    written = stack.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": done})
    puts.append(Put(key, written.get("VersionId"), hashlib.sha256(b"".join(parts)).hexdigest()))
    return puts


def settled(stack, prefix, puts, within_s, pause):
    """Waits until every put has ended; gives the rows of those that did, by their version."""
    rows, deadline = {}, time.monotonic() + within_s
    while True:
        for put in puts:
            if put.version not in rows and (row := stack.row(put)) and row["state"] in ENDED:
                rows[put.version] = row
        left, markers = stack.versions(stack.staging, prefix)
        if (len(rows) == len(puts) and not left and not markers) or time.monotonic() > deadline:
            return rows, left + markers
        pause()


def digest(stack, key, version=None):
    asked = {"Bucket": stack.archive, "Key": key} | ({"VersionId": version} if version else {})
    try:
        body = stack.s3.get_object(**asked)["Body"]
    except botocore.exceptions.ClientError as error:
        return f"unreadable: {error.response['Error']['Code']}"
    read = hashlib.sha256()
    for piece in body.iter_chunks(1 << 20):
        read.update(piece)
    return read.hexdigest()


def check_files(stack, prefix, puts, rows, left, report):
    """What became of the files."""
    report.claim("every write has a version id", (f"{put.key!r} has {put.version}" for put in puts if put.version in (None, "null")))
    report.claim("every upload has ended and is in the ledger", (f"{put.key!r}: not in time" for put in puts if put.version not in rows))
    report.claim("no upload failed", (f"{row['key']!r}: {row.get('reason')}" for row in rows.values() if row["state"] == "failed"))
    report.claim("nothing is left in staging", (f"{version['Key']!r} {version['VersionId']}" for version in left))
    kept, _ = stack.versions(stack.archive, prefix)
    kept += stack.versions(stack.archive, "_late/" + prefix)[0]
    there = {(version["Key"], version["VersionId"]) for version in kept if not version["Key"].startswith("_results/")}
    recorded = {}
    for put in puts:
        row = rows.get(put.version, {})
        if "archive_version_id" in row and row["state"] != "duplicate":
            recorded[put.version] = (row.get("archive_key", row["key"]), row["archive_version_id"])
    report.claim(
        "what is recorded is in the archive, once each",
        [f"{key!r} {version}: recorded and not there" for key, version in set(recorded.values()) - there]
        + [f"{key!r} {version}: there and not recorded" for key, version in there - set(recorded.values())]
        + (["two uploads have one record"] if len(set(recorded.values())) < len(recorded) else []),
    )
    report.claim(
        "every archived version has the bytes that were put",
        (f"{put.key!r}" for put in puts if put.version in recorded and digest(stack, *recorded[put.version]) != put.sha256),
    )
    last = {put.key: put.sha256 for put in puts}
    report.claim("the current version of each key is the last that was put", (f"{key!r}" for key, sha256 in last.items() if digest(stack, key) != sha256))


def signed_by_iam(request):
    session = boto3.Session()
    asked = botocore.awsrequest.AWSRequest(request.get_method(), request.full_url, data=request.data, headers=dict(request.header_items()))
    botocore.auth.SigV4Auth(session.get_credentials(), "execute-api", session.region_name).add_auth(asked)
    for name, value in asked.headers.items():
        request.add_header(name, value)
    return request


def granted(stack, key, token):
    """Credentials for one key, from the upload API."""
    request = urllib.request.Request(
        stack.outputs["ApiUrl"].rstrip("/") + "/api/credentials",
        data=json.dumps({"key": key}).encode(),
        headers={"content-type": "application/json"},
        method="POST",
    )
    if token:
        request.add_header("authorization", f"Bearer {token}")
    else:
        request = signed_by_iam(request)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def check_uploader(stack, prefix, token, puts, report):
    """An uploader may put its one file and nothing else: neither read, list, delete nor any other key."""
    claim = "an uploader's credentials put one key and do nothing else"
    if "ApiUrl" not in stack.outputs:
        return report.skipped(claim, "no upload API is known: --api-url")
    key = prefix + "by an uploader"
    try:
        given = granted(stack, key, token)
    except urllib.error.HTTPError as error:
        return report.skipped(claim, f"the upload API answers {error.code}; --api-token, or rights to execute-api")
    theirs = boto3.client(
        "s3", endpoint_url=given["endpoint"], region_name=given["region"], aws_access_key_id=given["access_key"],
        aws_secret_access_key=given["secret_key"], aws_session_token=given["session_token"],
    )  # fmt: skip
    content = b"by an uploader"
    written = theirs.put_object(Bucket=given["bucket"], Key=key, Body=content)
    mine = {"Bucket": stack.staging, "Key": key}
    tries = {
        "read its own file": lambda: theirs.get_object(**mine),
        "read a version of it": lambda: theirs.get_object(**mine, VersionId=written["VersionId"]),
        "delete it": lambda: theirs.delete_object(**mine),
        "delete a version of it": lambda: theirs.delete_object(**mine, VersionId=written["VersionId"]),
        "list staging": lambda: theirs.list_objects_v2(Bucket=stack.staging),
        "list versions": lambda: theirs.list_object_versions(Bucket=stack.staging),
        "put another key": lambda: theirs.put_object(Bucket=stack.staging, Key=key + "x", Body=b""),
        "put to the archive": lambda: theirs.put_object(Bucket=stack.archive, Key=key, Body=b""),
        "read the archive": lambda: theirs.get_object(Bucket=stack.archive, Key=key),
    }
    report.claim(claim, (problem for what, tried in tries.items() for problem in refused(what, tried)))
    puts.append(Put(key, written["VersionId"], hashlib.sha256(content).hexdigest()))
    return None


def refused(what, tried):
    try:
        tried()
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            yield f"{what}: {error.response['Error']['Code']} in the place of a refusal"
    else:
        yield f"it may {what}"


def check_roles(stack, report):
    """What IAM itself says of the roles whose sessions are given away. Nobody but the functions can take them."""
    staging, archive = stack.staging, stack.archive
    asked = {
        "UploaderRoleArn": [
            ("s3:PutObject", f"{staging}/a", True), ("s3:PutObject", f"{staging}/a/../b", False), ("s3:GetObject", f"{staging}/a", False),
            ("s3:DeleteObjectVersion", f"{staging}/a", False), ("s3:ListBucket", staging, False), ("s3:PutObject", f"{archive}/a", False),
        ],
        "FunctionRoleArn": [
            ("s3:GetObjectVersion", f"{staging}/a", True), ("s3:PutObject", f"{archive}/_results/a/v/x", True), ("s3:PutObject", f"{archive}/a", False),
            ("s3:DeleteObjectVersion", f"{staging}/a", False), ("s3:PutObject", f"{staging}/a", False), ("s3:GetObject", f"{archive}/a", False),
        ],
    }  # fmt: skip
    for name, questions in asked.items():
        claim = f"{name} may what it is for and no more"
        if name not in stack.outputs:
            report.skipped(claim, "this stack has none")
            continue
        iam, problems = boto3.client("iam"), []
        partition = stack.outputs[name].split(":")[1]
        try:
            for action, resource, wanted in questions:
                said = iam.simulate_principal_policy(PolicySourceArn=stack.outputs[name], ActionNames=[action], ResourceArns=[f"arn:{partition}:s3:::{resource}"])
                if (said["EvaluationResults"][0]["EvalDecision"] == "allowed") != wanted:
                    problems.append(f"{action} on {resource}: {said['EvaluationResults'][0]['EvalDecision']}")
        except botocore.exceptions.ClientError as error:
            report.skipped(claim, f"iam:SimulatePrincipalPolicy: {error.response['Error']['Code']}")
            continue
        report.claim(claim, problems)


def clean(stack, prefix, report):
    """Removes what was made, from the archive too; of the ledger only its history's end does."""
    problems = []
    for bucket, below in ((stack.staging, prefix), (stack.archive, prefix), (stack.archive, "_late/" + prefix), (stack.archive, "_results/" + prefix)):
        versions, markers = stack.versions(bucket, below)
        for version in versions + markers:
            try:
                stack.s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
            except botocore.exceptions.ClientError as error:
                problems.append(f"{bucket} {version['Key']!r}: {error.response['Error']['Code']}")
    report.claim("what this made is removed", problems)


def main(words=None, pause=lambda: time.sleep(PAUSE_S), say=print):
    parser = argparse.ArgumentParser(prog="verify", description=__doc__.splitlines()[0])
    parser.add_argument("--stack", help="the stack's name")
    parser.add_argument("--staging", help="in the place of what the stack's outputs say, as the next three")
    parser.add_argument("--archive")
    parser.add_argument("--ledger-table")
    parser.add_argument("--api-url")
    parser.add_argument("--api-token", help="a token that the upload API takes; without it calls are signed with IAM credentials")
    parser.add_argument("--files", type=int, default=50, help="how many small files are put beside the odd ones (50)")
    parser.add_argument("--within-s", type=int, default=900, help="how long the last of them may take (900, three sweeps)")
    parser.add_argument("--clean", action="store_true", help="remove what this made, from the archive too")
    flags = parser.parse_args(words)
    # boto3 alone of the SDKs does not know AWS_REGION.
    boto3.setup_default_session(region_name=os.environ.get("AWS_REGION"))
    stack, report = Stack(flags), Report(say)
    prefix = f"verify/{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:8]}/"
    say(f"files are put below {prefix} in {stack.staging}")
    puts = put_files(stack, prefix, flags.files)
    check_uploader(stack, prefix, flags.api_token, puts, report)
    rows, left = settled(stack, prefix, puts, flags.within_s, pause)
    check_files(stack, prefix, puts, rows, left, report)
    check_roles(stack, report)
    if flags.clean:
        clean(stack, prefix, report)
    else:
        say(f"they stay below {prefix} in {stack.archive}; --clean removes them")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
