"""Recovery as users need it: pause and resume, retry what failed, whatever happens to the server meanwhile."""

import itertools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from harness import kept
from harness.api import Refused
from harness.content import sha256, some_bytes
from harness.waiting import until

# By hand: TWO_BUCKETS_BULK=100000.
BULK = int(os.environ.get("TWO_BUCKETS_BULK", "1500"))
WORKERS = 4
# What a waiting key may cost at most, above what an idle server has.
BYTES_PER_WAITING_KEY = 4_000


def put(server, *names):
    """Puts a small file under each of these keys; returns what the archive is to hold."""
    s3 = server.s3()
    bodies = {name: some_bytes(2_000, name) for name in names}
    for name, body in bodies.items():
        s3.put_object(Bucket=server.staging, Key=name, Body=body)
    return {name: sha256(body) for name, body in bodies.items()}


def moment(text):
    return datetime.fromisoformat(text)


def begun_before(server, then):
    """The keys whose processing began before a moment."""
    return [it["key"] for it in server.api.uploads() if it["started_at"] and moment(it["started_at"]) < then]


def at_once(rows):
    """The most uploads that were in work at one moment. What ends in the moment in which another begins is not in work."""
    begins = [(moment(row["started_at"]), 1) for row in rows]
    ends = [(moment(row["finished_at"]), -1) for row in rows]
    return max(itertools.accumulate(change for _, change in sorted(begins + ends)))


def paused(server):
    """What the API says of a pause, in each of the places that say it."""
    [one, other] = [server.api.get("/api/server")["paused"], server.api.get("/api/uploads")["paused"]]
    assert one == other
    return one


def test_a_pause_holds_everything_back_over_a_kill_and_a_restart_and_uploads_go_on(make_server):
    server = make_server()
    expected = put(server, "before")
    kept.archived_bytes_are(server, expected)
    said = server.run("pause", "--reason", "the database moves").stdout
    assert "paused since" in said and "the database moves" in said and "0 uploads waiting" in said
    since = paused(server)
    assert since["reason"] == "the database moves"

    expected |= put(server, *(f"first/{number}" for number in range(20)))
    server.api.post("/api/sweep")
    # Killed at once: the answer to `pause` was a promise.
    server.kill()
    server.start()
    assert paused(server) == since
    expected |= put(server, *(f"second/{number}" for number in range(20)))
    key = server.api.put(b"minted", 6, filename="minted.txt")
    expected[key] = sha256(b"minted")
    swept = server.api.post("/api/sweep")
    assert (swept["listed"], swept["finished"]) == (41, 0)
    assert server.api.counts() == dict(pending=41, processing=0, archived=1, failed=0, late=0, duplicate=0)
    assert kept.keys(server.s3(), server.archive) == ["before"]
    status = server.run("status").stdout
    assert "41 pending" in status and "paused since" in status and "the database moves" in status
    assert json.loads(server.run("status", "--json").stdout)["paused"] == since
    assert server.stop() == 0
    server.start()
    assert paused(server) == since

    resumed = datetime.now(UTC)
    said = server.run("resume").stdout
    assert "processing goes on" in said
    kept.archived_bytes_are(server, expected)
    assert begun_before(server, resumed) == ["before"]
    assert paused(server) is None
    assert "paused" not in server.run("status").stdout
    server.kill()
    server.start()
    assert paused(server) is None
    # Resuming what is not paused is no failure, for scripts.
    assert json.loads(server.run("resume", "--json").stdout)["paused"] is None


def test_what_is_in_work_ends_and_no_job_is_started_while_paused(make_server, tmp_path):
    gate = tmp_path / "gate"
    script = 'echo begun >&2; while [ ! -e "$GATE" ]; do sleep 0.05; done; wc -c'
    server = make_server(
        *("--shell", "--command", script, "--command-env", f"GATE={gate}"),
        *("--job-from-bytes", "10000", "--job-concurrency", "1", "--workers", "2"),
    )
    s3 = server.s3()
    expected = put(server, "small")
    for key in ("job 1", "job 2"):
        body = some_bytes(10_000, key)
        s3.put_object(Bucket=server.staging, Key=key, Body=body)
        expected[key] = sha256(body)

    def in_state(key, state):
        return any(it["job"] == key.startswith("job") for it in server.api.uploads(key=key, state=state))

    for key, state in (("small", "processing"), ("job 1", "processing"), ("job 2", "pending")):
        until(f"{key} is {state}", lambda key=key, state=state: in_state(key, state))
    answer = server.api.post("/api/pause")
    assert answer["counts"]["processing"] == 2
    gate.touch()
    for key in ("small", "job 1"):
        until(f"{key} ends", lambda key=key: in_state(key, "archived"))
    # It would begin now, and again with each start of the server.
    server.api.post("/api/sweep")
    server.kill()
    server.start()
    assert [it["attempts"] for it in server.api.uploads(key="job 2")] == [0]
    resumed = datetime.now(UTC)
    server.api.post("/api/resume")
    kept.archived_bytes_are(server, expected)
    assert "job 2" not in begun_before(server, resumed)


def test_many_files_copied_into_staging_while_paused_are_processed_in_bounds(make_server):
    server = make_server("--workers", str(WORKERS))
    s3 = server.s3()
    s3.create_bucket(Bucket="elsewhere")
    body = some_bytes(300, "bulk")
    s3.put_object(Bucket="elsewhere", Key="one", Body=body)
    server.api.post("/api/pause", {"reason": "a bulk load"})
    idle = server.peak_memory_bytes()
    keys = [f"bulk/{number:06}" for number in range(BULK)]

    def copy(key):
        s3.copy_object(Bucket=server.staging, Key=key, CopySource={"Bucket": "elsewhere", "Key": "one"})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(copy, keys))
    until("all of them wait", lambda: server.api.counts()["pending"] == BULK)
    assert server.api.post("/api/sweep")["listed"] == BULK
    assert server.api.counts()["pending"] == BULK
    began = datetime.now(UTC)
    server.api.post("/api/resume")
    # Whoever uploads meanwhile is answered, and takes its turn like all others.
    server.s3().put_object(Bucket=server.staging, Key="meanwhile", Body=b"x")
    kept.staging_is_empty(server, within_s=120 + BULK // 100)
    took = (datetime.now(UTC) - began).total_seconds()
    grown = server.peak_memory_bytes() - idle
    print(f"{BULK} files: {took:.1f} s after the resume, {grown / 1e6:.0f} MB above {idle / 1e6:.0f} MB")
    assert server.api.counts()["archived"] == BULK + 1
    assert len(kept.keys(s3, server.archive, "bulk/")) == BULK
    assert 1 < at_once(server.api.uploads()) <= WORKERS, "no more at once than there are workers"
    assert grown < 100_000_000 + BULK * BYTES_PER_WAITING_KEY


def test_what_failed_for_one_reason_is_retried_and_nothing_else(make_server, tmp_path):
    mended = tmp_path / "mended"
    script = """
    case "$TWO_BUCKETS_KEY" in
        net/*) [ -e "$MENDED" ] || { echo "connection to 10.0.0.$(wc -c) refused" >&2; exit 65; } ;;
        *) echo "no such column" >&2; exit 65 ;;
    esac
    """
    server = make_server("--shell", "--command", script, "--command-env", f"MENDED={mended}")
    # More than one batch of rows.
    expected = put(server, *(f"net/{number}" for number in range(130)))
    put(server, "bad 1", "bad 2")
    until("all have failed", lambda: server.api.counts()["failed"] == 132)
    reason = server.api.uploads(key="net/7")[0]["reason"]
    assert "connection to 10.0.0." in reason
    pattern = "connection to *refused"
    assert "130 uploads would" in server.run("retry", "--reason", pattern, "--dry-run").stdout
    assert json.loads(server.run("retry", "--all", "--dry-run", "--json").stdout) == dict(matched=132, retried=0)
    nothing = server.run("retry", "--reason", "refused*connection", check=False)
    assert nothing.returncode == 1 and "no upload has failed for a reason like" in nothing.stderr
    assert server.api.counts()["failed"] == 132

    mended.touch()
    server.api.post("/api/pause")
    assert "130 uploads to be" in server.run("retry", "--reason", pattern).stdout
    counts = server.api.counts()
    assert (counts["pending"], counts["failed"]) == (130, 2)
    server.api.post("/api/resume")
    until("they are archived", lambda: server.api.counts()["archived"] == 130)
    kept.archived_bytes_are(server, expected, "net/")
    assert {it["key"] for it in server.api.uploads(state="failed")} == {"bad 1", "bad 2"}
    # One that fails again is not retried again by the same call.
    assert server.api.post("/api/retry", {"all": True}) == dict(matched=2, retried=2)
    until("they fail again", lambda: server.api.counts()["failed"] == 2)
    attempts = [len(server.api.upload(it["id"])["attempts_log"]) for it in server.api.uploads(state="failed")]
    assert attempts == [2, 2]


def test_a_replay_is_processed_again_in_bounds_whatever_happens_and_the_archive_keeps_what_it_has(make_server, tmp_path):
    log = tmp_path / "log"
    script = 'echo "$TWO_BUCKETS_KEY" >> "$LOG"; wc -c'
    server = make_server("--shell", "--command", script, "--command-env", f"LOG={log}")
    expected = put(server, *(f"in/{number:03}" for number in range(230)), "out/1")
    key = server.api.put(b"minted", 6, filename="minted.txt")
    expected[key] = sha256(b"minted")
    kept.archived_bytes_are(server, expected)
    s3 = server.s3()
    s3.put_object(Bucket=server.archive, Key="in/by hand", Body=b"by hand", Metadata={"own": "kept"})
    expected["in/by hand"] = sha256(b"by hand")
    before = kept.versions(s3, server.archive)
    blobs = sum(path.stat().st_size for path in server.data.rglob("*") if path.is_file())

    since = json.loads(server.run("replay", "in/", "--since", "1d", "--dry-run", "--json").stdout)
    assert (since["matched"], since["replayed"]) == (231, 0)
    assert server.run("replay", "in/", "--since", "2000-01-01", check=False).returncode == 2
    assert "0 uploads" in server.run("replay", "in/", "--since", "2999-01-01T00:00:00Z", "--dry-run").stdout

    server.api.post("/api/pause")
    said = server.run("replay", "in/").stdout
    assert "231 uploads" in said and "to be processed again" in said
    server.run("replay", key)
    # What was answered is kept: each of them waits, once.
    server.kill()
    server.start()
    assert len(kept.versions(server.s3(), server.staging)) == 232
    server.api.post("/api/resume")
    kept.archived_bytes_are(server, expected)
    ran = log.read_text().splitlines()
    assert all(ran.count(f"in/{number:03}") == 2 for number in range(230))
    assert (ran.count("out/1"), ran.count(key), ran.count("in/by hand")) == (1, 2, 1)
    after = kept.versions(server.s3(), server.archive)
    assert set(before) < set(after) and len(after) == len(before) + 232
    assert server.api.counts()["duplicate"] == 0
    grown = sum(path.stat().st_size for path in server.data.rglob("*") if path.is_file()) - blobs
    assert grown < 232 * 30_000, "rows and logs, and no second copy of what was large"

    again, first = server.api.uploads(key="in/007")
    versions = dict(server.s3().list_object_versions(Bucket=server.archive, Prefix="in/007"))["Versions"]
    old = next(it["VersionId"] for it in versions if not it["IsLatest"])
    assert again["replay_of"] | {"upload": None} == dict(
        bucket=server.archive, key="in/007", version_id=old, upload=None
    )
    assert server.api.upload(again["replay_of"]["upload"])["version_id"] == first["version_id"]
    assert first["replay_of"] is None
    server.s3().delete_object(Bucket=server.archive, Key="in/007", VersionId=again["archive"]["version_id"])
    head = server.s3().head_object(Bucket=server.archive, Key="in/by hand")
    assert head["Metadata"]["own"] == "kept" and old not in head["Metadata"]["two-buckets-replay-of"]

    # One old version: processed again, and never current over what came later.
    put(server, "in/007")
    kept.staging_is_empty(server)
    server.run("replay", "in/007", "--version", old)
    until("it is kept beside", lambda: server.api.uploads(key="in/007", state="late"))
    missing = server.run("replay", "in/007", "--version", "0" * 32, check=False)
    assert missing.returncode == 1 and "version" in missing.stderr


def test_the_history_is_bounded_and_never_forgets_what_is_not_finished(make_server):
    script = 'case "$TWO_BUCKETS_KEY" in bad*) exit 65;; esac; wc -c'
    server = make_server("--shell", "--command", script)
    put(server, "bad")
    until("it fails", lambda: server.api.counts()["failed"])
    expected = put(server, *(f"k/{number:03}" for number in range(120)))
    kept.archived_bytes_are(server, expected, "k/")
    server.api.post("/api/pause")
    expected |= put(server, "waits")
    newest = server.api.uploads(state="archived")[:5]
    server.kill()

    server.flags += ("--history-max", "5")
    server.start()
    until("what is beyond is forgotten", lambda: server.api.counts()["archived"] == 5)
    assert server.api.uploads(state="archived") == newest
    assert [it["key"] for it in server.api.uploads() if it["state"] != "archived"] == ["waits", "bad"]
    assert server.api.counts() == dict(pending=1, processing=0, archived=5, failed=1, late=0, duplicate=0)
    assert "no upload of k/000" in server.run("status", "k/000", check=False).stderr
    # The files are there, and the one that failed can be retried.
    server.api.post("/api/resume")
    kept.staging_is_empty(server, "waits")
    assert all(kept.sha256_in(server.s3(), server.archive, key) == digest for key, digest in expected.items())
    assert server.api.post("/api/retry", {"key": "bad"}) == dict(matched=1, retried=1)
    refused = server.run("config", "--history-days", "0", check=False)
    assert refused.returncode == 2 and "history-days" in refused.stderr


def test_only_who_may_steer_everybodys_uploads_pauses(make_server, tmp_path):
    callers = tmp_path / "callers.toml"
    callers.write_text(
        """
        [[caller]]
        name = "boss"
        token = "boss-token-0123456789abcdef0123456789"
        may_steer = true

        [[caller]]
        name = "tenant"
        token = "tenant-token-0123456789abcdef01234567"
        prefix = "tenant/"
        may_steer = true

        [[caller]]
        name = "guest"
        token = "guest-token-0123456789abcdef012345678"
        """
    )
    callers.chmod(0o600)
    server = make_server("--token-file", callers)
    for name in ("tenant", "guest"):
        caller = server.api_as(callers.read_text().split(f'name = "{name}"')[1].split('token = "')[1].split('"')[0])
        for path in ("/api/pause", "/api/resume"):
            with pytest.raises(Refused) as refused:
                caller.post(path)
            assert refused.value.status == 403
    assert paused(server) is None
    server.api_as("boss-token-0123456789abcdef0123456789").post("/api/pause")
    assert paused(server)["reason"] is None
