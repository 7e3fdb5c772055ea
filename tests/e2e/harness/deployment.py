"""A deployment on AWS without AWS: buckets of our own server's, and moto for everything else."""

import contextlib
import json
import subprocess

import boto3

from harness import moto
from harness.keys import REGION
from harness.server import ROOT, program

INCOMING, KEPT, TABLE = "incoming", "kept", "ledger"
ACCOUNT = "123456789012"
ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:wake-ups"


class Deployment:
    """Buckets, a queue and a table, and the variables by which the program finds them."""

    def __init__(self, make_server, folder, sqs_url, dynamodb_url):
        config = folder / "server.toml"
        config.write_text(
            f'[notifications.wake-ups]\nkind = "sqs"\nurl = "{sqs_url}/123456789012/wake-ups"\n'
        )
        keys = {"aws_access_key_id": ROOT.access_key_id, "aws_secret_access_key": ROOT.secret_access_key}
        self.sqs = boto3.client("sqs", endpoint_url=sqs_url, region_name=REGION, **keys)
        self.cloudformation = boto3.client("cloudformation", endpoint_url=sqs_url, region_name=REGION, **keys)
        self.queue_url = self.sqs.create_queue(QueueName="wake-ups")["QueueUrl"]
        dynamodb = boto3.client("dynamodb", endpoint_url=dynamodb_url, region_name=REGION, **keys)
        dynamodb.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        secret = {
            "TWO_BUCKETS_NOTIFICATIONS_WAKE_UPS_ACCESS_KEY_ID": ROOT.access_key_id,
            "TWO_BUCKETS_NOTIFICATIONS_WAKE_UPS_SECRET_ACCESS_KEY": ROOT.secret_access_key,
        }
        self.server = make_server("--config", config, variables=secret)
        self.s3 = self.server.s3()
        for bucket in (INCOMING, KEPT):
            self.s3.create_bucket(Bucket=bucket)
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.folder = folder
        kept = {
            name: value
            for name, value in self.server.environment().items()
            if not name.startswith(("TWO_BUCKETS_", "AWS_"))
        }
        self.variables = kept | {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ROOT.access_key_id,
            "AWS_SECRET_ACCESS_KEY": ROOT.secret_access_key,
            "AWS_ENDPOINT_URL_S3": self.server.endpoint,
            "AWS_ENDPOINT_URL_SQS": sqs_url,
            "AWS_ENDPOINT_URL_CLOUDFORMATION": sqs_url,
            "AWS_ENDPOINT_URL_STS": sqs_url,
            "AWS_ENDPOINT_URL_BATCH": sqs_url,
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
            "TWO_BUCKETS_DATA": str(folder / "worker"),
            "TWO_BUCKETS_STACK": "files",
            "TWO_BUCKETS_STAGING": INCOMING,
            "TWO_BUCKETS_ARCHIVE": KEPT,
            "TWO_BUCKETS_LEDGER_TABLE": TABLE,
            "TWO_BUCKETS_LEDGER_SHARDS": "2",
            "TWO_BUCKETS_QUEUE_URL": self.queue_url,
        }

    def ask_for_events(self):
        rule = {"QueueArn": ARN, "Events": ["s3:ObjectCreated:*"]}
        self.s3.put_bucket_notification_configuration(
            Bucket=INCOMING, NotificationConfiguration={"QueueConfigurations": [rule]}
        )

    def put(self, *keys):
        for key in keys:
            self.s3.put_object(Bucket=INCOMING, Key=key, Body=key.encode())

    def versions(self, bucket):
        found = self.s3.list_object_versions(Bucket=bucket)
        return sorted(version["Key"] for version in found.get("Versions", []))

    def launch(self, *words, **variables):
        """Starts the program; what it says on standard output and standard error is in files of these names."""
        out, err = (self.folder / name for name in ("stdout", "stderr"))
        with out.open("wb") as out, err.open("wb") as err:
            command = [program(), *words]
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.variables | variables
            )

    def said(self, name):
        return (self.folder / name).read_text()

    def figures(self):
        """The sums of CloudWatch's figures that were said on standard output."""
        sums = {}
        for line in self.said("stdout").splitlines():
            figures = json.loads(line)
            if "_aws" in figures:
                assert figures["Stack"] == "files"
                for metric in figures["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                    name = metric["Name"]
                    sums[name] = sums.get(name, 0) + figures[name]
        return sums

    def run(self, *words, **variables):
        """Runs a command as an operator does, who knows the region, the credentials and the endpoints, and no part. A
        variable that is None is not set."""
        known = {name: value for name, value in self.variables.items() if not name.startswith("TWO_BUCKETS_")}
        own = {"XDG_STATE_HOME": str(self.folder / "state"), "XDG_CONFIG_HOME": str(self.folder / "config")}
        command = [str(word) for word in (program(), *words)]
        told = {name: value for name, value in (known | own | variables).items() if value is not None}
        return subprocess.run(command, capture_output=True, text=True, env=told, timeout=300)


@contextlib.contextmanager
def deployed(make_server, folder):
    """A deployment of the test's own. DynamoDB has a moto to itself, for its requests come one at a time."""
    with (
        moto.serving(folder / "sqs.log") as sqs,
        moto.serving(folder / "dynamodb.log", one_at_a_time=True) as dynamodb,
    ):
        yield Deployment(make_server, folder, sqs, dynamodb)
