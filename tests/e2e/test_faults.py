"""Faults on demand: S3 misbehaves as it does on AWS, clients do what they do there, and nothing is lost."""

import json
import os
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, IncompleteReadError, ResponseStreamingError

from harness import kept
from harness.api import Refused
from harness.content import sha256, some_bytes
from harness.server import Server, program
from harness.waiting import until

FUNCTIONS = Path(__file__).parent / "functions"
DOCS = Path(__file__).parents[2] / "docs" / "faults.md"
ONCE = {"max_attempts": 0}


def documented_commands():
    """The commands of the recipe: that of the server, and those of the other shell."""
    return re.findall(r"^```sh\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)


def documented_rules():
    """The rules of the recipe, as they stand there."""
    [text] = re.findall(r"^```toml\n# faults.toml\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    return text


def switch(server, *rules):
    """Switches on these rules and no others."""
    return server.api._call("PUT", "/api/faults", {"fault": list(rules)})["rules"]


def counts(server):
    """How many calls each rule was about, and how many of them it struck."""
    return {rule["name"]: (rule["matched"], rule["struck"]) for rule in server.api.get("/api/faults")["rules"]}


@pytest.fixture
def plain(server):
    """A server with a versioned bucket that nothing happens to."""
    s3 = server.s3()
    s3.create_bucket(Bucket="plain")
    s3.put_bucket_versioning(Bucket="plain", VersioningConfiguration={"Status": "Enabled"})
    return server


def test_the_sdks_own_retries_hide_an_s3_that_is_busy_broken_or_cut_off(plain):
    switch(
        plain,
        {"name": "busy", "operation": "PutObject", "fault": "SlowDown", "first": 1},
        {"name": "broken", "operation": "PutObject", "fault": "InternalError", "first": 1},
        {"name": "cut", "operation": "PutObject", "fault": "cut", "first": 1},
        {"name": "in between", "operation": "PutObject", "fault": "cut-request", "first": 1},
        {"name": "get", "operation": "GetObject", "fault": "SlowDown", "first": 2},
    )
    # By itself it makes three attempts.
    s3 = plain.s3(retries={"total_max_attempts": 5})
    body = some_bytes(200_000, "hidden")
    s3.put_object(Bucket="plain", Key="k", Body=body)
    assert s3.get_object(Bucket="plain", Key="k")["Body"].read() == body
    assert {name: struck for name, (_, struck) in counts(plain).items()} == {
        "busy": 1, "broken": 1, "cut": 1, "in between": 1, "get": 2,
    }  # fmt: skip
    # None of the four took effect.
    assert len(kept.versions(s3, "plain")) == 1


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("SlowDown", 503),
        ("InternalError", 500),
        ("PreconditionFailed", 412),
        ("ConditionalRequestConflict", 409),
        ("OperationAborted", 409),
    ],
)
def test_an_error_is_the_one_the_sdk_knows(plain, fault, status):
    switch(plain, {"operation": "PutObject", "fault": fault})
    with pytest.raises(ClientError) as refused:
        plain.s3(retries=ONCE).put_object(Bucket="plain", Key="k", Body=b"x", IfNoneMatch="*")
    answer = refused.value.response
    assert answer["Error"]["Code"] == fault
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    assert answer["ResponseMetadata"]["RequestId"] in plain.log.read_text()


def test_an_error_inside_a_200_raises_and_nothing_is_copied(plain):
    s3 = plain.s3()
    s3.put_object(Bucket="plain", Key="from", Body=b"x")
    switch(plain, {"name": "in", "operation": "CopyObject", "fault": "error-in-200", "first": 3})
    source = {"Bucket": "plain", "Key": "from"}
    with pytest.raises(ClientError, match="InternalError"):
        plain.s3(retries=ONCE).copy_object(Bucket="plain", Key="to", CopySource=source)
    assert kept.versions(s3, "plain", "to") == []
    # With its own retries the SDK does not let on.
    s3.copy_object(Bucket="plain", Key="to", CopySource=source)
    assert counts(plain)["in"] == (4, 3)
    assert len(kept.versions(s3, "plain", "to")) == 1


@pytest.mark.parametrize("fault", ["InternalError", "cut"])
def test_a_call_whose_answer_is_lost_has_taken_effect(plain, fault):
    switch(plain, {"operation": "PutObject", "fault": fault, "took_effect": True})
    with pytest.raises((ClientError, ConnectionClosedError)):
        plain.s3(retries=ONCE).put_object(Bucket="plain", Key="k", Body=b"x")
    assert len(kept.versions(plain.s3(), "plain")) == 1
    assert "took_effect=true" in re.sub(r"\x1b\[[0-9;]*m", "", plain.log.read_text())


def test_an_object_that_breaks_off_is_not_taken_for_whole(plain):
    s3 = plain.s3()
    s3.put_object(Bucket="plain", Key="k", Body=some_bytes(100_000, "half"))
    switch(plain, {"operation": "GetObject", "fault": "cut-answer", "nth": 1})
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        s3.get_object(Bucket="plain", Key="k")["Body"].read()
    assert len(s3.get_object(Bucket="plain", Key="k")["Body"].read()) == 100_000


@pytest.mark.parametrize(
    "rules",
    [
        [{"fault": "lost"}],
        [{"fault": "doubled", "delay_ms": 50}],
        [{"fault": "delayed", "delay_ms": 300}],
        [{"fault": "reordered"}],
        [{"fault": "lost", "every": 3}, {"fault": "doubled", "every": 2}, {"fault": "reordered", "every": 2}],
    ],
    ids=lambda rules: " and ".join(rule["fault"] for rule in rules),
)
def test_every_file_is_archived_once_whatever_becomes_of_its_event(make_server, rules):
    server = make_server("--sweep-interval-s", "3600")
    switch(server, *({"name": rule["fault"], "operation": "event", **rule} for rule in rules))
    s3 = server.s3()
    sent = {f"k{number}": some_bytes(500, number) for number in range(30)}
    for key, body in sent.items():
        s3.put_object(Bucket=server.staging, Key=key, Body=body)
    assert all(struck > 0 for _, struck in counts(server).values())
    losing = any(rule["fault"] == "lost" for rule in rules)
    if losing:
        until("the others are archived", lambda: server.api.counts()["archived"] >= 20 or len(rules) == 1)
        assert kept.versions(s3, server.staging), "nothing was lost"
        server.api.post("/api/sweep")
    kept.archived_bytes_are(server, {key: sha256(body) for key, body in sent.items()})
    assert len(kept.versions(s3, server.archive)) == len(sent)
    assert server.api.counts()["archived"] == len(sent)


def test_only_the_owner_switches_faults(make_server, tmp_path):
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(
        '[[caller]]\nname = "partner"\ntoken = "tb_a-token-that-is-long-enough-0001"\nmay_steer = true\n'
    )
    tokens.chmod(0o600)
    server = make_server("--token-file", str(tokens))
    rule = {"fault": [{"operation": "PutObject", "fault": "SlowDown"}]}
    for token, status in [(None, 401), ("wrong-token-of-nobody-at-all-00000", 401), ("tb_a-token-that-is-long-enough-0001", 403)]:
        for method, body in [("PUT", rule), ("DELETE", None), ("GET", None)]:
            with pytest.raises(Refused) as refused:
                server.api_as(token)._call(method, "/api/faults", body)
            assert refused.value.status == status, (token, method)
    assert server.api.get("/api/faults")["rules"] == []


def test_the_command_line_sets_shows_and_switches_off(server, tmp_path):
    assert server.run("faults").stdout == "no faults are on\n"
    assert "FAULTS" not in server.run("status").stdout
    rules = tmp_path / "faults.toml"
    rules.write_text(documented_rules())
    shown = server.run("faults", "set", str(rules)).stdout
    for rule in tomllib.loads(documented_rules())["fault"]:
        assert rule["name"] in shown
    assert server.run("status").stdout.startswith("FAULTS ARE ON: 13 rules")
    assert "FAULTS ARE ON" in server.log.read_text()
    rules.write_text('{"fault": [{"name": "one", "operation": "PutObject", "fault": "SlowDown", "first": 1}]}')
    server.run("faults", "set", str(rules))
    server.s3().put_object(Bucket=server.staging, Key="k", Body=b"x")
    assert '"struck": 1' in server.run("faults", "--json").stdout
    rules.write_text('[[fault]]\nname = "one"\noperation = "PutObjekt"\nfault = "SlowDown"\n')
    refused = server.run("faults", "set", str(rules), check=False)
    assert refused.returncode == 1
    assert "fault 1 (one): operation: there is no PutObjekt; did you mean PutObject?" in refused.stderr
    assert server.run("faults").stdout.count("\n") == 2
    assert server.run("faults", "off").stdout == "no faults are on\n"


def test_faults_are_on_from_the_start_and_loud(make_server, tmp_path):
    rules = tmp_path / "faults.toml"
    rules.write_text('[[fault]]\noperation = "GetObject"\nfault = "SlowDown"\n')
    server = make_server("--faults", str(rules))
    log = server.log.read_text()
    assert "FAULTS  ON" in log and "FAULTS ARE ON: 503 SlowDown to GetObject, always" in log
    rules.write_text('[[fault]]\noperation = "GetObject"\nfault = "SlowDwn"\n')
    other = Server(tmp_path)
    refused = other.run("serve", "--s3", "127.0.0.1:0", "--web", "127.0.0.1:0", "--faults", str(rules), check=False)
    assert refused.returncode == 2
    assert "did you mean SlowDown?" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_the_recipe_works_as_it_is_written(tmp_path):
    (tmp_path / "faults.toml").write_text(documented_rules())
    (tmp_path / "handler.py").write_text((FUNCTIONS / "tutorial.py").read_text())
    (tmp_path / "some-folder").mkdir()
    for name in ("one.txt", "two.txt", "three.txt"):
        (tmp_path / "some-folder" / name).write_text(name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "two-buckets").symlink_to(program())
    variables = {
        **Server(tmp_path).environment(),
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "TWO_BUCKETS_S3": "127.0.0.1:0",
        "TWO_BUCKETS_WEB": "127.0.0.1:0",
    }
    of_server = variables | {"TWO_BUCKETS_FUNCTION_PYTHON": sys.executable}

    def shell(script):
        how = {"cwd": tmp_path, "env": variables, "capture_output": True, "text": True, "timeout": 120}
        done = subprocess.run(["sh", "-ec", script], **how)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    serve, others = documented_commands()
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(["sh", "-c", f"exec {serve}"], cwd=tmp_path, env=of_server, stdout=log, stderr=log)
    try:
        until("the server is there", (tmp_path / "faults-data" / "server.json").exists)
        shell(others)

        def finished():
            counts = json.loads(shell("two-buckets --data faults-data status --json"))["counts"]
            return counts["archived"] >= 3 and counts["pending"] + counts["processing"] + counts["failed"] == 0

        until("every file is archived", finished)
        assert shell("two-buckets --data faults-data faults") == "no faults are on\n"
    finally:
        server.terminate()
        assert server.wait(timeout=60) == 0


@pytest.mark.parametrize("flags", [[], ["--function-moves", "--max-attempts", "1"]], ids=["looks", "moves"])
def test_the_tutorials_function_loses_no_version_under_faults_and_overwrites(make_server, flags):
    """It copies and deletes by name, and swallows what goes wrong. Where it always moves its file, not having done so is
    a failure, set aside with that reason; otherwise its return is taken for success, and the pipeline moves the file."""
    server = make_server(
        "--function", str(FUNCTIONS / "tutorial.py"), "--function-python", sys.executable,
        "--workers", "4", "--sweep-interval-s", "2", *flags,
    )  # fmt: skip
    # More than the SDK's three attempts of a few files, whatever the others do.
    outage = {"name": "outage", "operation": "CopyObject", "fault": "InternalError", "first": 12}
    switch(server, outage, *tomllib.loads(documented_rules())["fault"])
    s3 = server.s3(retries={"max_attempts": 10})
    keys = ("one", "two", "three")
    bodies = {}

    def overwrite(key):
        for number in range(20):
            body = some_bytes(3_000, f"{key} {number}")
            bodies[sha256(body)] = key
            version = s3.put_object(Bucket=server.staging, Key=key, Body=body)["VersionId"]
            yield version, (key, sha256(body))

    with ThreadPoolExecutor(len(keys)) as pool:
        acknowledged = dict(pair for pairs in pool.map(lambda key: list(overwrite(key)), keys) for pair in pairs)
    assert len(acknowledged) == 60

    def unfinished():
        found = server.api.counts()
        return found["pending"] + found["processing"]

    until("every upload is at its end", lambda: unfinished() == 0, within_s=300)
    struck = {name: struck for name, (_, struck) in counts(server).items()}
    assert struck["outage"] == 12 and struck["events that get lost"] > 0 and struck["done, but not said"] > 0, struck
    failed = server.api.uploads(state="failed")
    if flags:
        assert failed, "the outage was to outlast the SDK's retries"
        assert {"did not move" in upload["reason"] for upload in failed} == {True}
    else:
        assert failed == []
        said = [server.run("logs", "--id", upload["id"]).stdout for upload in server.api.uploads()]
        assert any("could not be processed" in log for log in said), "nothing went wrong for the function"
    server.api._call("DELETE", "/api/faults", None)
    server.run("retry", "--all")
    server.api.post("/api/sweep")
    until("every upload is archived", lambda: unfinished() == 0 and not server.api.counts()["failed"], within_s=120)
    kept.staging_is_empty(server)
    accounts_are_right(server, acknowledged, bodies)


def accounts_are_right(server, acknowledged, bodies):
    """Every version that was acknowledged is in the archive once, byte for byte, and nothing is there that nobody sent."""
    s3 = server.s3()
    uploads = server.api.uploads()
    # A put whose answer was lost is sent again and is a version of its own, of the same bytes.
    assert acknowledged.keys() <= {upload["version_id"] for upload in uploads}
    assert {upload["state"] for upload in uploads} <= {"archived", "late"}
    places = [(upload["archive"]["key"], upload["archive"]["version_id"]) for upload in uploads]
    assert sorted(places) == sorted(kept.versions(s3, server.archive))
    for upload, (key, version) in zip(uploads, places, strict=True):
        digest = kept.sha256_in(s3, server.archive, key, version)
        assert bodies[digest] == upload["key"]
        assert acknowledged.get(upload["version_id"], (upload["key"], digest)) == (upload["key"], digest)
        assert (key == upload["key"]) == (upload["state"] == "archived")
    for key in set(bodies.values()):
        # The current one is the newest that arrived.
        newest = max((it for it in uploads if it["key"] == key), key=lambda it: it["received_at"])
        current = kept.sha256_in(s3, server.archive, key)
        assert current == kept.sha256_in(s3, server.archive, newest["archive"]["key"], newest["archive"]["version_id"])
