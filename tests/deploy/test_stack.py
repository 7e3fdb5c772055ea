"""A stack made by moto's CloudFormation, as far as that goes, and what is there afterwards.

moto's CloudFormation knows no API Gateway v2, no schedules, no alarms and no bucket or queue policies; these are left out
of the copy it gets. Of a bucket it takes the encryption only, so the rest is set by S3's own calls, from the template
(`furnish`), which at least holds its shapes to S3's. Policies are not enforced.
"""

import json

import boto3
import pytest
from moto import mock_aws
from moto.cloudformation.parsing import get_model_map
from template import decided, load, name_of, without

TEMPLATE = load()
CODE = {"CodeBucket": "code", "CodePrefix": "two-buckets/1"}


def types_that_moto_lacks():
    return {resource["Type"] for resource in TEMPLATE["Resources"].values()} - set(get_model_map())


def body(parameters):
    """The template for moto: conditions decided, because it keeps AWS::NoValue in lists as null."""
    return json.dumps(without(decided(TEMPLATE, parameters), types_that_moto_lacks()))


class Stack:
    def __init__(self, parameters=None):
        self.formation = boto3.client("cloudformation")
        store = boto3.client("s3", region_name="us-east-1")
        store.create_bucket(Bucket="code")
        for release in (1, 2):
            for part in ("processor", "uploads", "sweep"):
                store.put_object(Bucket="code", Key=f"two-buckets/{release}/{part}.zip", Body=b"zip of " + str(release).encode())
        self.formation.create_stack(**self.asked(CODE | (parameters or {})))

    def asked(self, parameters):
        given = [{"ParameterKey": name, "ParameterValue": str(value)} for name, value in parameters.items()]
        return {"StackName": "files", "TemplateBody": body(parameters), "Parameters": given, "Capabilities": ["CAPABILITY_IAM"]}

    def update(self, parameters):
        self.formation.update_stack(**self.asked(parameters))

    @property
    def status(self):
        return self.formation.describe_stacks(StackName="files")["Stacks"][0]["StackStatus"]

    @property
    def outputs(self):
        (stack,) = self.formation.describe_stacks(StackName="files")["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def furnish(bucket, name, queue_arn):
    """Sets what moto's CloudFormation leaves out of a bucket."""
    store = boto3.client("s3")
    given = decided(TEMPLATE, CODE)["Resources"][name]["Properties"]
    store.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=given["VersioningConfiguration"])
    store.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=given["PublicAccessBlockConfiguration"])
    store.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=given["OwnershipControls"])
    lifecycle = [
        {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": ""}}
        | ({"AbortIncompleteMultipartUpload": rule["AbortIncompleteMultipartUpload"]} if "AbortIncompleteMultipartUpload" in rule else {})
        | ({"Expiration": {"ExpiredObjectDeleteMarker": rule["ExpiredObjectDeleteMarker"]}} if "ExpiredObjectDeleteMarker" in rule else {})
        for rule in given["LifecycleConfiguration"]["Rules"]
    ]
    store.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": lifecycle})
    for event in given.get("NotificationConfiguration", {}).get("QueueConfigurations", []):
        assert name_of(event["Queue"]) == "WakeUps"
        told = {"QueueConfigurations": [{"QueueArn": queue_arn, "Events": [event["Event"]]}]}
        store.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=told)


def furnished(stack):
    """The stack's outputs, its buckets furnished."""
    out = stack.outputs
    asked = boto3.client("sqs").get_queue_attributes(QueueUrl=out["QueueUrl"], AttributeNames=["QueueArn"])
    for name in ("StagingBucket", "ArchiveBucket"):
        furnish(out[name], name, asked["Attributes"]["QueueArn"])
    return out


@pytest.fixture
def aws(no_real_account):
    with mock_aws():
        yield


def messages(url):
    queue = boto3.client("sqs")
    got = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get("Messages", [])
    return [json.loads(message["Body"]) for message in got]


def test_moto_lacks_what_the_docs_say_is_not_shown():
    assert types_that_moto_lacks() - {
        "AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Authorizer", "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Stage", "AWS::CloudWatch::Alarm",
        "AWS::Lambda::EventInvokeConfig", "AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::Scheduler::Schedule",
    } == set()  # fmt: skip


def test_an_upload_to_the_stack_wakes_the_queue(aws):
    stack = Stack()
    assert stack.status == "CREATE_COMPLETE"
    out = furnished(stack)
    store = boto3.client("s3")
    written = store.put_object(Bucket=out["StagingBucket"], Key="a b.jpg", Body=b"file")
    assert written["VersionId"] not in (None, "null")
    records = [record for message in messages(out["QueueUrl"]) for record in message.get("Records", [])]
    (record,) = records
    assert record["s3"]["object"]["key"] == "a+b.jpg"
    assert record["s3"]["bucket"]["name"] == out["StagingBucket"]
    store.put_object(Bucket=out["ArchiveBucket"], Key="a", Body=b"file")
    assert messages(out["QueueUrl"]) == []


def test_the_stack_has_what_the_template_says(aws):
    out = Stack({"FunctionTimeoutS": "900"}).outputs
    queue = boto3.client("sqs").get_queue_attributes(QueueUrl=out["QueueUrl"], AttributeNames=["All"])["Attributes"]
    assert queue["VisibilityTimeout"] == "5400"
    assert json.loads(queue["RedrivePolicy"])["maxReceiveCount"] == 5
    tables = boto3.client("dynamodb")
    table = tables.describe_table(TableName=out["LedgerTable"])["Table"]
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]
    assert table["DeletionProtectionEnabled"] is True
    functions = boto3.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName=out["Processor"])["EventSourceMappings"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    processor = functions.get_function_configuration(FunctionName=out["Processor"])
    assert processor["Timeout"] == 900
    variables = processor["Environment"]["Variables"]
    assert variables["TWO_BUCKETS_STAGING"] == out["StagingBucket"]
    assert variables["TWO_BUCKETS_QUEUE_URL"] == out["QueueUrl"]
    assert "TWO_BUCKETS_FUNCTION_ARN" not in variables
    encryption = boto3.client("s3").get_bucket_encryption(Bucket=out["StagingBucket"])["ServerSideEncryptionConfiguration"]
    assert encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_an_upgrade_keeps_what_is_waiting(aws):
    stack = Stack()
    before = furnished(stack)
    store = boto3.client("s3")
    version = store.put_object(Bucket=before["StagingBucket"], Key="waiting", Body=b"file")["VersionId"]
    stack.update(CODE | {"CodePrefix": "two-buckets/2", "FunctionTimeoutS": "600", "MaximumConcurrency": 20})
    after = stack.outputs
    assert stack.status == "UPDATE_COMPLETE"
    for kept in ("StagingBucket", "ArchiveBucket", "LedgerTable"):
        assert after[kept] == before[kept]
    assert store.get_object(Bucket=after["StagingBucket"], Key="waiting", VersionId=version)["Body"].read() == b"file"


def test_a_user_function_gets_a_role_of_its_own(aws):
    mine = "arn:aws:lambda:eu-west-1:123456789012:function:mine"
    out = Stack({"UserFunctionArn": mine}).outputs
    variables = boto3.client("lambda").get_function_configuration(FunctionName=out["Processor"])["Environment"]["Variables"]
    assert variables["TWO_BUCKETS_FUNCTION_ARN"] == mine
    assert variables["TWO_BUCKETS_FUNCTION_ROLE_ARN"] == out["FunctionRoleArn"]
    assert out["FunctionRoleArn"] != out["UploaderRoleArn"]
