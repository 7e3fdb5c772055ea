"""Where a stack has its parts, and how they are read."""

import hashlib
import os
import sys

import boto3
import botocore.exceptions

# Where a row can be once something of it came, of crates/aws/src/ledger/rows.rs.
HOMES = ("done", "failed", "open", "waiting", "job")


class Ledger:
    """The ledger's rows, by its layout (docs/table.md)."""

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
        return self.found(f"key#{put.key}", f"{bucket}#version#{put.version}")

    def minted(self, bucket, key):
        """The row of the upload that this key was minted for, once it has come."""
        return self.found(f"key#{key}", f"{bucket}#mint")

    def found(self, pk, sk):
        finder = self.row(pk, sk)
        if not finder:
            return None
        upload = finder["upload"]["S"]
        for home in HOMES:
            for shard in range(self.shards):
                row = self.row(f"{home}#{shard:02x}", upload)
                if row:
                    return {name: next(iter(value.values())) for name, value in row.items()}
        return None

    def lease(self, bucket, key):
        """The last token of a key's lease, and whether somebody holds it."""
        row = self.row(f"key#{key}", f"{bucket}#lease") or {"token": {"N": "0"}}
        return int(row["token"]["N"]), "holder" in row


class Stack:
    """Where a stack has its parts."""

    def __init__(self, flags):
        # boto3 alone of the SDKs does not know AWS_REGION.
        self.session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
        self.outputs = {}
        if flags.stack:
            (stack,) = self.session.client("cloudformation").describe_stacks(StackName=flags.stack)["Stacks"]
            self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        given = {
            "StagingBucket": flags.staging, "ArchiveBucket": flags.archive, "LedgerTable": flags.ledger_table,
            "ApiUrl": flags.api_url, "QueueUrl": flags.queue_url,
        }  # fmt: skip
        self.outputs |= {name: value for name, value in given.items() if value}
        missing = [name for name in ("StagingBucket", "ArchiveBucket", "LedgerTable") if name not in self.outputs]
        if missing:
            sys.exit(f"verify: give --stack, or what it would tell: {', '.join(missing)}")
        self.staging, self.archive = self.outputs["StagingBucket"], self.outputs["ArchiveBucket"]
        self.s3, self.dynamodb = self.session.client("s3"), self.session.client("dynamodb")
        self.known = None

    def ledger(self):
        """The ledger, once somebody has made its first row: the first wake-up does."""
        if self.known is None or not self.known.shards:
            self.known = Ledger(self.dynamodb, self.outputs["LedgerTable"])
        return self.known

    def row(self, put):
        return self.ledger().of(self.staging, put)

    def versions(self, bucket, prefix):
        found = {"Versions": [], "DeleteMarkers": []}
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for kind, all_of_kind in found.items():
                all_of_kind += page.get(kind, [])
        return found["Versions"], found["DeleteMarkers"]

    def staged(self, key):
        """The versions of a key that are in staging, and what S3 says of when they came."""
        return {version["VersionId"]: version["LastModified"] for version in self.versions(self.staging, key)[0] if version["Key"] == key}

    def digest(self, key, version=None):
        """The digest of what the archive has under a key."""
        asked = {"Bucket": self.archive, "Key": key} | ({"VersionId": version} if version else {})
        try:
            body = self.s3.get_object(**asked)["Body"]
        except botocore.exceptions.ClientError as error:
            return f"unreadable: {code(error)}"
        read = hashlib.sha256()
        for piece in body.iter_chunks(1 << 20):
            read.update(piece)
        return read.hexdigest()


def code(error):
    """The code of what AWS answered."""
    return error.response["Error"]["Code"]
