"""What the template must be: its rules, and what tools say of it."""

import json
import re

import pytest
from rules import RULES
from template import PATH, STACK_POLICY, decided, load, of_type

TEMPLATE = load()


@pytest.mark.parametrize("name", RULES)
def test_the_rules_hold(name):
    assert list(RULES[name](TEMPLATE)) == []


def test_every_action_names_the_call_that_needs_it():
    missing = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(PATH.read_text().splitlines(), 1)
        if (re.match(r"\s+- [a-z0-9]+:[A-Z][A-Za-z]+", line) or re.match(r'\s+Resource: "\*"', line)) and not re.search(r" # \S", line)
    ]
    assert missing == []
    listed = len(re.findall(r"^\s+- [a-z0-9]+:[A-Z][A-Za-z]+ #", PATH.read_text(), re.M))
    policies = [*of_type(TEMPLATE, "AWS::IAM::Policy").values()]
    statements = [each for policy in policies for each in policy["Properties"]["PolicyDocument"]["Statement"]]
    # One more: what S3 may do to the queue.
    assert listed == sum(len(each["Action"]) for each in statements) + 1


def test_an_update_may_not_replace_what_holds_files():
    policy = json.loads(STACK_POLICY.read_text())
    denied = {
        resource.removeprefix("LogicalResourceId/")
        for statement in policy["Statement"]
        if statement["Effect"] == "Deny" and set(statement["Action"]) == {"Update:Replace", "Update:Delete"}
        for resource in statement["Resource"]
    }
    kept = [*of_type(TEMPLATE, "AWS::S3::Bucket"), *of_type(TEMPLATE, "AWS::DynamoDB::Table")]
    assert denied == set(kept)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"UserFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:mine"},
        {"Jobs": "on", "JobSubnets": "subnet-12345678", "JobSecurityGroups": "sg-12345678"},
        {"Jobs": "on", "JobImage": "public.ecr.aws/x/y:1", "JobSubnets": "subnet-12345678", "JobSecurityGroups": "sg-12345678"},
        {"UserFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:mine", "UserFunctionPermanentErrors": "BadFile", "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/k", "Jobs": "on"},
        {"KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/k", "ArchiveLockDays": 30, "AccessLogBucket": "logs"},
        {"JwtIssuer": "https://id.example.com", "JwtAudience": "two-buckets", "PageOrigin": "https://files.example.com"},
        {"Tracing": "on", "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Architecture": "arm64"},
    ],
    ids=lambda parameters: ",".join(parameters) or "defaults",
)
def test_nothing_refers_to_what_is_not_made(parameters):
    from template import references

    made = decided(TEMPLATE, parameters)
    known = set(made["Resources"]) | set(TEMPLATE["Parameters"])
    for name, entry in {**made["Resources"], **made["Outputs"]}.items():
        for to in references(entry):
            assert to in known or to.startswith("AWS::"), f"{name} refers to {to}"
