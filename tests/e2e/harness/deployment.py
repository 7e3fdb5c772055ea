"""A deployment on AWS without AWS: buckets on our own S3, moto's SQS and DynamoDB, and the variables by which the program
finds them. The buckets are none that the server itself does anything with."""

import contextlib
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote_plus

import boto3

from harness import kept, moto, roles
from harness.content import sha256
from harness.keys import REGION
from harness.server import ROOT, program

INCOMING, KEPT, TABLE = "incoming", "kept", "ledger"
ACCOUNT = "123456789012"
ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:wake-ups"


class Deployment:
    """Buckets, a queue and a table, and the variables by which the program finds them."""

    def __init__(self, make_server, folder, sqs_url, dynamodb_url, visibility_timeout_s=30, receives_max=None):
        file = folder / "server.toml"
        file.write_text(
            f'[notifications.wake-ups]\nkind = "sqs"\nurl = "{sqs_url}/123456789012/wake-ups"\n{roles.config()}'
        )
        self.sqs_url, self.dynamodb_url = sqs_url, dynamodb_url
        keys = {"aws_access_key_id": ROOT.access_key_id, "aws_secret_access_key": ROOT.secret_access_key}
        self.sqs = boto3.client("sqs", endpoint_url=sqs_url, region_name=REGION, **keys)
        self.cloudformation = boto3.client("cloudformation", endpoint_url=sqs_url, region_name=REGION, **keys)
        attributes = {"VisibilityTimeout": str(visibility_timeout_s)}
        if receives_max:
            # What was received that often goes to another queue, as in the template.
            self.sqs.create_queue(QueueName="dead-letters")
            redrive = {"deadLetterTargetArn": f"{ARN.rsplit(':', 1)[0]}:dead-letters", "maxReceiveCount": receives_max}
            attributes["RedrivePolicy"] = json.dumps(redrive)
        self.queue_url = self.sqs.create_queue(QueueName="wake-ups", Attributes=attributes)["QueueUrl"]
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
        self.server = make_server("--config", file, variables=secret)
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
        return sorted(key for key, _ in kept.versions(self.s3, bucket, kinds=["Versions"]))

    def tell(self, key):
        """Sends the event of a key, as S3 does, once more than S3 does."""
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(event_of(key)))

    def launch(self, *words, said_in="stderr", **variables):
        """Starts the program; what it says on standard output and standard error is in files of these names. A second one
        beside it says it elsewhere."""
        out = "stdout" if said_in == "stderr" else f"{said_in}-stdout"
        out, err = self.folder / out, self.folder / said_in
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

    def as_role(self, role):
        """The variables of what runs in a role's name. Our own STS knows the roles, moto's would know others."""
        return self.variables | roles.credentials(self.server, role) | {"AWS_ENDPOINT_URL_STS": self.server.endpoint}

    def parts(self):
        """The variables that name its parts one by one, for who knows no stack."""
        others = ("TWO_BUCKETS_STACK", "TWO_BUCKETS_DATA")
        return {name: value for name, value in self.variables.items() if name.startswith("TWO_BUCKETS_") and name not in others}


def event_of(key):
    """S3's event of a key in staging."""
    record = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
    return {"Records": [record | {"s3": {"bucket": {"name": INCOMING}, "object": {"key": quote_plus(key)}}}]}


def batch_of(messages):
    """Messages as Lambda gives them (Lambda Developer Guide, "Using Lambda with Amazon SQS")."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": ARN,
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }


class Kept:
    """All that a deployment has: its rows and what is in its buckets, with every byte read. As `harness.book` wants it."""

    def __init__(self, deployment):
        s3 = deployment.s3
        told = deployment.run("status", "--json", "--limit", "1000000", **deployment.parts())
        assert told.returncode == 0, told.stderr
        said = json.loads(told.stdout)
        self.rows = said["uploads"]
        self.by_version = {(row["key"], row["version_id"]): row for row in self.rows if row["version_id"]}
        self.counts = self.said = said["counts"]
        self.staged = set(kept.versions(s3, INCOMING, kinds=["Versions"]))
        # The newest first, as S3 lists them.
        self.archived = kept.versions(s3, KEPT, kinds=["Versions"])
        self.markers = [
            f"{bucket}/{key}" for bucket in (INCOMING, KEPT) for key, _ in kept.versions(s3, bucket, kinds=["DeleteMarkers"])
        ]

        def looked_at(bucket):
            def look(at):
                found = s3.get_object(Bucket=bucket, Key=at[0], VersionId=at[1])
                return at, (found["Metadata"], sha256(found["Body"].read()))

            return look

        with ThreadPoolExecutor(8) as pool:
            self.in_archive = dict(pool.map(looked_at(KEPT), self.archived))
            self.in_staging = dict(pool.map(looked_at(INCOMING), self.staged))


@contextlib.contextmanager
def deployed(make_server, folder, kind=Deployment, **how):
    """One of its own for each test."""
    with (
        moto.serving(folder / "sqs.log") as sqs,
        moto.serving(folder / "dynamodb.log", one_at_a_time=True) as dynamodb,
    ):
        yield kind(make_server, folder, sqs, dynamodb, **how)
