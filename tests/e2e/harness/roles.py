"""What the template lets each role do in S3 and STS, held by a server of our own: what runs in a test in a role's name can do
no more there than on AWS. moto, which is DynamoDB and SQS here, asks nobody for rights."""

import json
import re

from harness.rights import template

BUCKETS = {"StagingBucket": "incoming", "ArchiveBucket": "kept"}
ROLES = {"ProcessorRole", "SweepRole", "JobRole", "UploadsRole", "UploaderRole", "FunctionRole"}


def arn(role):
    return f"arn:aws:iam::000000000000:role/{role}"


def policy(role):
    """As a policy document, with these buckets."""
    statements = []
    for of, found in template.of_type(template.load(), "AWS::IAM::Policy").items():
        properties = found["Properties"]
        holders = [it["Ref"] for entry in properties["Roles"] for it in template.branches(entry)]
        if role in holders and not of.endswith(("OnKey", "OnCode")):
            statements += [it for it in properties["PolicyDocument"]["Statement"] if is_of_ours(it)]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    for name, bucket in BUCKETS.items():
        document = document.replace(f'{{"Fn::GetAtt": ["{name}", "Arn"]}}', f'"arn:aws:s3:::{bucket}"')
        document = re.sub(rf'{{"Fn::Sub": "\${{{name}\.Arn}}([^"]*)"}}', rf'"arn:aws:s3:::{bucket}\1"', document)
    for name in ROLES:
        document = document.replace(f'{{"Fn::GetAtt": ["{name}", "Arn"]}}', f'"{arn(name)}"')
    assert statements and "Fn::" not in document and "Ref" not in document, document
    return document


def is_of_ours(statement):
    return all(action.startswith(("s3:", "sts:")) for action in template.listed(statement["Action"]))


def config():
    """All of them, as a server's configuration has them."""
    return "".join(f"[[role]]\nname = '{role}'\npolicy = '{policy(role)}'\n" for role in sorted(ROLES))


def credentials(server, role):
    """Temporary ones of a role, as Lambda and Fargate give them to what runs: in variables."""
    sts = server.client("sts")
    given = sts.assume_role(RoleArn=arn(role), RoleSessionName="tests")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
