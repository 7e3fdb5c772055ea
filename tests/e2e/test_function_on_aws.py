"""A function in Python, deployed by itself, that the `processor` invokes with credentials for exactly one version.

Our own S3 and STS, with the role that the template gives such functions; SQS and DynamoDB are moto's, and of Lambda only
Invoke is here."""

import botocore.exceptions
import pytest

from harness import user_function
from harness.content import sha256
from harness.deployment import INCOMING, KEPT, Kept, deployed
from harness.mapping import Function, Mapping
from harness.programs import function
from harness.user_function import BadFile
from harness.waiting import until


class Digest:
    """What the user deployed: reads its file, keeps a result beside it, and tries what it should not be able to."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.seen, self.could, self.sessions = [], [], set()

    def __call__(self, event, context):
        s3, at = user_function.s3_of(context, self.endpoint), user_function.version_of(event)
        content = s3.get_object(**at)["Body"].read()
        self.seen.append((at["Key"], at["VersionId"], sha256(content)))
        self.sessions.add(context.client_context.custom["AWS_SESSION_TOKEN"])
        self.try_all(s3, at)
        if content == b"bad":
            raise BadFile("no digest is made of that")
        ours = event["Records"][0]["twoBuckets"]
        s3.put_object(Bucket=ours["archiveBucket"], Key=ours["resultsPrefix"] + "digest", Body=sha256(content).encode())
        return {"sha256": sha256(content)}

    def try_all(self, s3, at):
        by_name = {name: at[name] for name in ("Bucket", "Key")}
        others = [version for _, version, _ in self.seen if version != at["VersionId"]]
        tries = {
            "read by name": lambda: s3.get_object(**by_name),
            "list staging": lambda: s3.list_objects_v2(Bucket=INCOMING),
            "overwrite its file": lambda: s3.put_object(**by_name, Body=b"x"),
            "delete its version": lambda: s3.delete_object(**at),
            "write to the archive": lambda: s3.put_object(Bucket=KEPT, Key=at["Key"], Body=b"x"),
            "write another's result": lambda: s3.put_object(Bucket=KEPT, Key="_results/other/v/x", Body=b"x"),
        }
        if others:
            tries["read another version"] = lambda: s3.get_object(**by_name, VersionId=others[-1])
        for what, tried in tries.items():
            try:
                tried()
            except botocore.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
                    continue
            self.could.append((what, at["Key"]))


@pytest.fixture
def deployment(make_server, tmp_path):
    with deployed(make_server, tmp_path, visibility_timeout_s=25) as deployment:
        yield deployment


def test_a_function_in_python_reads_its_version_and_nothing_else(deployment):
    digest = Digest(deployment.server.endpoint)
    keys = ["plain", "a b+c/ü&%2F*", *["again"] * 6, *[f"many/{number}" for number in range(20)]]
    bodies = {}
    for number, key in enumerate(keys):
        body = f"{key} {number}".encode()
        answer = deployment.s3.put_object(Bucket=INCOMING, Key=key, Body=body)
        bodies[key, answer["VersionId"]] = sha256(body)
    bad = deployment.s3.put_object(Bucket=INCOMING, Key="bad", Body=b"bad")["VersionId"]
    for key in [*keys, "bad"]:
        deployment.tell(key)
    with user_function.serving(deployment, digest) as variables:
        processor = Function(function("processor"), variables, deployment.folder / "processor.log", concurrency=2)
        mapping = Mapping(deployment, processor, pollers=2)
        try:
            until("only what is bad is left", lambda: deployment.versions(INCOMING) == ["bad"], within_s=120)
        finally:
            mapping.close()
            processor.close()
    assert digest.could == []
    # Each was called once for each version, with what that version is, in order for each key.
    assert {(key, version): content for key, version, content in digest.seen if key != "bad"} == bodies
    assert len(digest.seen) == len(bodies) + 1 == len(digest.sessions)
    assert [version for key, version, _ in digest.seen if key == "again"] == [
        version for key, version in bodies if key == "again"
    ]
    kept = Kept(deployment)
    for at, content in bodies.items():
        row = kept.by_version[at]
        assert (row["state"], row["report"]) == ("archived", {"sha256": content})
        result = deployment.s3.get_object(Bucket=KEPT, Key=f"_results/{at[0]}/{at[1]}/digest")["Body"].read()
        assert result.decode() == content
    row = kept.by_version["bad", bad]
    assert (row["state"], row["attempts"]) == ("failed", 1)
    assert "BadFile" in row["reason"] and "no digest is made of that" in row["reason"]
