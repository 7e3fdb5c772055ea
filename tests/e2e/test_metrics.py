"""What is collected at /metrics is what status and API say, and tells of nobody's files."""

import json
import re
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.content import some_bytes
from harness.metrics import are_legal, ask, collect
from harness.waiting import until, until_quiet

FUNCTIONS = Path(__file__).parent / "functions"
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
# In every key; in nothing that is collected.
MARK = "a-name-that-is-nobodys-business"
# The most that one list of versions looks at, in S3 as here.
LIST_PAGE_MAX = 1_000
COLLECTOR = "collector-token-0123456789abcdef01234567"
TENANT = "tenant-token-0123456789abcdef01234567890"


def put(server, key, body):
    server.s3().put_object(Bucket=server.staging, Key=f"{MARK}/{key}", Body=body)


def agree(server):
    """Checks that a server that is quiet says everywhere the same; returns what was collected."""
    metrics = collect(server)
    are_legal(metrics)
    assert MARK not in metrics.text
    counts = server.api.counts()
    assert metrics.by("state", "uploads") == counts
    status = json.loads(server.run("status", "--json").stdout)
    assert status["counts"] == counts
    histories = [server.api.upload(row["id"]) for row in server.api.uploads()]
    assert not any(row["id"] in metrics.text for row in histories)
    outcomes = Counter(attempt["outcome"] for row in histories for attempt in row["attempts_log"] if attempt["outcome"])
    attempts = metrics.by("outcome", "attempts_total")
    assert {outcome: count for outcome, count in attempts.items() if count} == outcomes
    assert metrics.value("attempt_duration_seconds_count") == sum(attempts.values())
    tried = [row for row in histories if row["attempts_log"]]
    assert metrics.value("upload_wait_seconds_count") == len(tried)
    ended = metrics.by("state", "uploads_ended_total")
    assert metrics.value("upload_duration_seconds_count") == ended["archived"] + ended["late"]
    assert metrics.value("paused") == (status["paused"] is not None)
    return metrics


def test_what_is_collected_is_what_status_and_api_say(make_server):
    server = make_server(
        *("--function", FUNCTIONS / "told.py", "--function-python", sys.executable),
        *("--function-timeout-s", "1", "--function-concurrency", "1", "--max-attempts", "1", "--sweep-interval-s", "3600"),
    )
    metrics = agree(server)
    assert metrics.value("oldest_unfinished_upload_age_seconds") == 0
    assert metrics.value("build_info", version=server.api.get("/api/server")["version"]) == 1

    s3 = server.s3()
    # It is as old as its beginning, so it is late when the other one of its key is archived.
    late = {"Bucket": server.staging, "Key": f"{MARK}/late"}
    begun = s3.create_multipart_upload(**late)["UploadId"]
    bodies = {"a": b"echo", "b": b"echo", "late": b"echo", "bad": b"fail", "left": b"leave", "slow": b"hang"}
    for key, body in bodies.items():
        put(server, key, body)
    until_quiet(server)
    part = s3.upload_part(**late, UploadId=begun, PartNumber=1, Body=b"echo")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**late, UploadId=begun, MultipartUpload=parts)
    until_quiet(server)
    metrics = agree(server)
    assert metrics.by("state", "uploads_ended_total") == dict(archived=3, failed=3, late=1, duplicate=0)
    [(of, _)] = metrics.samples("function_cold_starts_total")
    invocations = metrics.by("outcome", "function_invocations_total", **of)
    ended = {outcome: count for outcome, count in invocations.items() if count}
    assert ended == dict(succeeded=4, function_error=1, exited=1, timed_out=1)
    # The three that ended badly took their environments with them, but for the error.
    assert metrics.value("function_cold_starts_total", **of) >= 3
    environments = metrics.by("state", "function_environments", **of)
    assert environments["busy"] == 0 and environments["idle"] >= 1
    puts = metrics.by("code", "s3_requests_total", operation="PutObject")
    assert puts == {"2xx": len(bodies)}
    assert metrics.by("code", "s3_requests_total", operation="CompleteMultipartUpload") == {"2xx": 1}
    sent = sum(map(len, bodies.values())) + len(b"echo")
    assert metrics.value("store_received_bytes_total") == sent
    assert metrics.value("store_free_bytes") > 0 and metrics.value("store_read_only") == 0
    assert metrics.value("store_log_bytes") > 0 and metrics.value("store_log_segments") >= 1

    # A retry that fails again counts again; the upload is still one.
    server.run("retry", f"{MARK}/bad")
    until_quiet(server)
    assert agree(server).by("state", "uploads_ended_total")["failed"] == 4
    swept = server.api.post("/api/sweep")
    metrics = agree(server)
    assert metrics.value("last_sweep_listed_versions") == swept["listed"] == 3
    assert metrics.value("last_sweep_timestamp_seconds") > 1_600_000_000
    assert metrics.by("outcome", "sweeps_total")["completed"] >= 2

    server.run("pause")
    put(server, "waits", b"echo")
    metrics = agree(server)
    assert metrics.value("paused") == 1 and metrics.value("queued_keys") == 1
    assert metrics.by("state", "uploads")["pending"] == 1
    [before] = [server.api.get("/api/uploads", limit=1)["oldest_unfinished"]]
    age = collect(server).value("oldest_unfinished_upload_age_seconds")
    after = json.loads(server.run("status", "--json").stdout)["oldest_unfinished"]
    assert before["key"] == after["key"] == f"{MARK}/waits"
    assert before["age_s"] <= age < after["age_s"] + 1


    described = described_in(OPERATIONS.read_text())
    samples = {sample.name for family in metrics.families.values() for sample in family.samples}
    told = {re.sub("_(bucket|sum|count)$", "", name.removeprefix("two_buckets_")) for name in samples}
    assert told == described


def test_the_oldest_is_the_same_everywhere_behind_more_that_wait_than_a_list_looks_at(make_server):
    server = make_server()
    server.run("pause")
    s3 = server.s3()
    # Its time is that of its beginning, and its key stands behind all others.
    oldest = {"Bucket": server.staging, "Key": f"{MARK}/z"}
    begun = s3.create_multipart_upload(**oldest)["UploadId"]
    waiting = [{"Bucket": server.staging, "Key": f"{MARK}/a/{n:04}", "Body": b"x"} for n in range(LIST_PAGE_MAX + 20)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda file: s3.put_object(**file), waiting))
    part = s3.upload_part(**oldest, UploadId=begun, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**oldest, UploadId=begun, MultipartUpload=parts)

    status = server.run("status", "--json")
    told = [json.loads(status.stdout), server.api.get("/api/uploads"), server.api.get("/api/uploads", limit=1)]
    [(key, since)] = {(it["oldest_unfinished"]["key"], it["oldest_unfinished"]["received_at"]) for it in told}
    assert key == oldest["Key"]
    age = collect(server).value("oldest_unfinished_upload_age_seconds")
    after = server.api.get("/api/uploads", limit=1)["oldest_unfinished"]
    assert told[-1]["oldest_unfinished"]["age_s"] <= age < after["age_s"] + 1
    assert (after["key"], after["received_at"]) == (key, since)
    said = server.run("status").stdout
    assert f"oldest unfinished: {key}" in " ".join(said.split()), said[-500:]


def described_in(text):
    """The metrics of the table of the documentation."""
    [table] = re.findall(r"^\| metric \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    return {name for row in table.strip().splitlines()[2:] for name in re.findall(r"`([a-z0-9_]+)`", row.split("|")[1])}


def test_jobs_are_collected_while_they_run_and_when_they_have_ended(make_server, tmp_path):
    gate = tmp_path / "gate"
    script = 'while [ ! -e "$GATE" ]; do sleep 0.05; done; wc -c'
    server = make_server(
        *("--shell", "--command", script, "--command-env", f"GATE={gate}"),
        *("--job-from-bytes", "1000", "--job-concurrency", "1"),
    )
    for key in ("one", "two"):
        put(server, key, some_bytes(2_000, key))
    jobs = {"queued": 1, "running": 1}
    until("one job runs and one waits", lambda: collect(server).by("state", "jobs") == jobs)
    # What runs is known after a restart, too.
    server.kill()
    server.start()
    assert collect(server).by("state", "jobs") == jobs
    gate.touch()
    until_quiet(server)
    metrics = collect(server)
    assert metrics.by("state", "jobs") == {"queued": 0, "running": 0}
    assert metrics.by("state", "jobs_ended_total") == dict(archived=2, failed=0, late=0, duplicate=0)


@pytest.fixture
def callers(tmp_path):
    """A file with one who may look at everything and steer nothing, and one who sees their own only."""
    path = tmp_path / "callers.toml"
    path.touch(mode=0o600)
    path.write_text(
        f'[[caller]]\nname = "prometheus"\ntoken = "{COLLECTOR}"\n'
        f'[[caller]]\nname = "tenant"\ntoken = "{TENANT}"\nprefix = "tenant/"\nmay_steer = true\n'
    )
    return path


def test_only_who_sees_everything_may_collect(make_server, callers):
    server = make_server("--token-file", callers)
    assert ask(server)[0] == 401
    assert ask(server, "a-token-that-nobody-has-0123456789abcdef")[0] == 401
    status, _, problem = ask(server, TENANT)
    assert status == 403 and "prefix" in json.loads(problem)["detail"]
    are_legal(collect(server, COLLECTOR))
    are_legal(collect(server, server.record["admin_token"]))
