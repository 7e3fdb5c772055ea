"""`cargo xtask deploy` and `remove`, by the AWS command line against moto.

They get a release that was packaged before (`--release`), whose template is what moto can make of ours (test_stack.py
says what that leaves out).
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import boto3
import pytest
from moto.cloudformation.models import CloudFormationBackend
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer
from template import STACK_POLICY
from test_stack import body

XTASK = os.environ.get("TWO_BUCKETS_XTASK")
AWS = pathlib.Path(sys.executable).with_name("aws")
pytestmark = pytest.mark.skipif(not XTASK or not AWS.exists(), reason="cargo xtask test runs these: they need the chores' program and the AWS command line")


@pytest.fixture
def moto(monkeypatch, tmp_path):
    monkeypatch.setattr(CloudFormationBackend, "execute_change_set", executed_with_outputs)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    # moto finds the template's bucket in the path of an address only if that is localhost's.
    config = tmp_path / "aws.conf"
    config.write_text("[default]\ns3 =\n  addressing_style = path\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://localhost:{port}")
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="code")
    yield
    server.stop()
    # Its state is this process's.
    moto_api_backend.reset()


def executed_with_outputs(self, change_set_name, stack_name=None, executed=CloudFormationBackend.execute_change_set):
    """moto gives outputs to stacks that CreateStack made, and forgets those of change sets."""
    executed(self, change_set_name, stack_name)
    for stack in self.stacks.values():
        stack._parse_template()
        stack.output_map = stack._create_output_map()


@pytest.fixture
def release(tmp_path):
    return written(tmp_path / "first", b"first")


def written(folder, content, parameters=None):
    folder.mkdir()
    for part in ("processor.zip", "uploads.zip", "sweep.zip", "job"):
        (folder / part).write_bytes(content + part.encode())
    (folder / "two-buckets.yaml").write_text(body(parameters or {}))
    shutil.copy(STACK_POLICY, folder / "stack-policy.json")
    return folder


def xtask(*args, path=None, ok=True):
    environment = os.environ | {"PATH": path or f"{AWS.parent}:/usr/bin:/bin"}
    ran = subprocess.run([XTASK, *args], env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert (ran.returncode == 0) == ok, ran.stdout + ran.stderr
    return ran.stdout


def deploy(release, *more, **how):
    return xtask("deploy", "--stack", "files", "--code-bucket", "code", "--release", release, *more, **how)


def outputs():
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName="files")["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def folders():
    listed = boto3.client("s3").list_objects_v2(Bucket="code")["Contents"]
    found = {}
    for entry in listed:
        folder, _, name = entry["Key"].rpartition("/")
        found.setdefault(folder, set()).add(name)
    return {folder: names for folder, names in found.items() if "job" in names}


def put(bucket, key):
    # moto's CloudFormation leaves versioning out.
    store = boto3.client("s3")
    store.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return store.put_object(Bucket=bucket, Key=key, Body=b"file")["VersionId"]


def test_a_release_is_uploaded_and_deployed_by_one_command(moto, release):
    said = deploy(release, "--parameter", "MaxAttempts=7")
    out = outputs()
    for name, value in out.items():
        assert f"{name} " in said and value in said
    assert "Wait 15 minutes" in said
    ((folder, names),) = folders().items()
    assert folder.startswith("two-buckets/")
    assert {"processor.zip", "uploads.zip", "sweep.zip", "job"} <= names
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName="files")["Stacks"]
    given = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    assert (given["CodeBucket"], given["CodePrefix"], given["MaxAttempts"]) == ("code", folder, "7")
    policy = boto3.client("cloudformation").get_stack_policy(StackName="files")["StackPolicyBody"]
    assert json.loads(policy) == json.loads(STACK_POLICY.read_text())


def test_a_release_has_a_folder_of_its_own_and_an_update_keeps_files_and_parameters(moto, release, tmp_path):
    deploy(release, "--parameter", "MaxAttempts=7")
    before = outputs()
    version = put(before["StagingBucket"], "waiting")
    said = deploy(written(tmp_path / "second", b"second"))
    assert "Wait 15 minutes" not in said
    assert len(folders()) == 2
    after = outputs()
    assert after["StagingBucket"] == before["StagingBucket"]
    assert after["MaxAttempts"] == "7"
    assert boto3.client("s3").get_object(Bucket=after["StagingBucket"], Key="waiting", VersionId=version)


def test_what_follows_from_the_command_is_not_given_beside_it(moto, release):
    said = deploy(release, "--parameter", "CodePrefix=elsewhere", ok=False)
    assert "CodePrefix follows from" in said
    assert folders_are_none()


def folders_are_none():
    return "Contents" not in boto3.client("s3").list_objects_v2(Bucket="code")


def test_without_the_aws_command_line_it_says_what_to_install(moto, release, tmp_path):
    said = deploy(release, path=str(tmp_path), ok=False)
    assert "https://aws.amazon.com/cli/" in said


def test_removing_a_stack_leaves_its_buckets_and_ledger(moto, release):
    deploy(release)
    out = outputs()
    version = put(out["StagingBucket"], "waiting")
    said = xtask("remove", "--stack", "files")
    assert boto3.client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE"])["StackSummaries"] == []
    for left in ("StagingBucket", "ArchiveBucket", "LedgerTable"):
        assert out[left] in said
    assert boto3.client("s3").get_object(Bucket=out["StagingBucket"], Key="waiting", VersionId=version)
    assert boto3.client("dynamodb").describe_table(TableName=out["LedgerTable"])


def test_buckets_with_files_are_not_removed_unless_told(moto, release):
    deploy(release)
    out = outputs()
    put(out["ArchiveBucket"], "kept")
    # Hidden by a delete marker it is still there.
    boto3.client("s3").delete_object(Bucket=out["ArchiveBucket"], Key="kept")
    said = xtask("remove", "--stack", "files", "--with-buckets", ok=False)
    assert "nothing was removed" in said and out["ArchiveBucket"] in said and out["StagingBucket"] not in said
    put(out["StagingBucket"], "waiting")
    said = xtask("remove", "--stack", "files", "--with-buckets", ok=False)
    assert "nothing was removed" in said and out["StagingBucket"] in said
    assert outputs() == out
    said = xtask("remove", "--stack", "files", "--with-buckets", "--with-files")
    assert f"2 versions of {out['ArchiveBucket']} are deleted" in said
    assert f"1 versions of {out['StagingBucket']} are deleted" in said
    assert {bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]} == {"code"}
    assert boto3.client("dynamodb").list_tables()["TableNames"] == []


def test_files_do_not_go_without_their_buckets(moto):
    said = xtask("remove", "--stack", "files", "--with-files", ok=False)
    assert said == ""


def test_a_stack_that_is_not_there_is_not_removed(moto):
    assert "there is no stack files" in xtask("remove", "--stack", "files", ok=False)
