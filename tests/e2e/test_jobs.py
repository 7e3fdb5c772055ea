"""Files that are too big or too slow are jobs: processes of their own, which a restart of the server does not end."""

import http.server
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness import kept
from harness.content import sha256, some_bytes
from harness.jobs import leader, leaders, none_is_left, processes_of, processes_of_jobs
from harness.waiting import until

FUNCTIONS = Path(__file__).parent / "functions"
JOB_BYTES = 10_000
LARGE_BYTES = 30_000_000
# It says that it has begun, and waits to be let go on.
WAITING = """
echo "$TWO_BUCKETS_KEY begins" >&2
while [ ! -e "$GATE" ]; do sleep 0.05; done
size=$(wc -c)
echo "{\\"size\\": $size, \\"nice\\": $(nice)}"
"""
# What is asked to end does not, and what it starts does not either.
STUBBORN = """
trap '' TERM
sh -c 'trap "" TERM; while :; do sleep 1; done' &
echo begun >&2
while [ ! -e "$GATE" ]; do sleep 1; done
"""


@pytest.fixture
def gate(tmp_path):
    """A file that jobs wait for."""
    return tmp_path / "gate"


@pytest.fixture
def serve(make_server, gate):
    """Starts a server whose large files are jobs of this script."""

    def start(script, *flags):
        words = ["--job-from-bytes", str(JOB_BYTES), "--shell", "--command", script]
        return make_server(*words, "--command-env", f"GATE={gate}", *flags)

    return start


def put(server, key, seed=None, size=JOB_BYTES):
    """Puts a file that is a job unless its size says otherwise, and returns its bytes."""
    body = some_bytes(size, seed if seed is not None else key)
    server.s3().put_object(Bucket=server.staging, Key=key, Body=body)
    return body


def only(server, key):
    [listed] = server.api.uploads(key=key)
    return server.api.upload(listed["id"])


def in_state(server, key, state, within_s=60):
    """Waits until the only upload of a key is in a state, and returns it with its attempts."""
    until(f"{key} is {state}", lambda: server.api.uploads(key=key, state=state), within_s)
    return only(server, key)


def begun(server, *keys):
    """Waits until the jobs of these keys have begun and their programs speak."""
    for key in keys:
        in_state(server, key, "processing")
        until(f"{key} speaks", lambda key=key: "beg" in server.run("logs", key).stdout)


def test_twenty_jobs_of_a_server_that_is_killed_all_end_once(serve, gate):
    server = serve(WAITING, "--job-concurrency", "20")
    bodies = {f"job/{number}": put(server, f"job/{number}") for number in range(19)}
    # More than fits into pipes and sockets: it is read on from the next server.
    bodies["job/large"] = put(server, "job/large", size=LARGE_BYTES)
    begun(server, *bodies)
    server.kill()
    assert len(processes_of_jobs(server)) >= 20, "they go on without it"
    server.start()
    gate.touch()
    kept.archived_bytes_are(server, {key: sha256(body) for key, body in bodies.items()})
    for key in bodies:
        upload = only(server, key)
        assert upload["state"] == "archived"
        assert upload["attempts"] == 1, "none was begun again"
        assert upload["report"]["size"] == len(bodies[key])
    assert kept.versions(server.s3(), server.staging) == []
    none_is_left(server)


def test_a_job_that_ends_while_no_server_is_there_is_not_lost(serve, gate):
    server = serve(WAITING)
    body = put(server, "a")
    begun(server, "a")
    assert server.stop() == 0, "a stop does not wait for jobs, nor end them"
    assert leader(server)
    gate.touch()
    until("the function is done", lambda: len(processes_of_jobs(server)) == 1)
    server.start()
    upload = in_state(server, "a", "archived")
    assert upload["attempts"] == 1
    kept.archived_bytes_are(server, {"a": sha256(body)})
    none_is_left(server)


def test_a_later_version_waits_for_the_job_of_its_key_and_other_keys_do_not(serve, gate):
    server = serve(WAITING)
    first = put(server, "a", seed=1)
    begun(server, "a")
    second = put(server, "a", seed=2, size=100)
    # The gate holds small files up as well, so another key that is through shows that nothing else is in the way.
    gate.touch()
    kept.archived_bytes_are(server, {"a": sha256(second)})
    archived = [version for key, version in kept.versions(server.s3(), server.archive) if key == "a"]
    digests = [kept.sha256_in(server.s3(), server.archive, "a", version) for version in archived]
    assert digests == [sha256(second), sha256(first)], "the newest first"
    uploads = server.api.uploads(key="a")
    assert [it["state"] for it in uploads] == ["archived", "archived"]
    newer, older = (server.api.upload(it["id"]) for it in uploads)
    assert newer["started_at"] >= older["finished_at"], "one after the other"


def test_a_job_whose_process_is_killed_is_tried_again_and_the_attempt_counts(serve, gate):
    server = serve(WAITING)
    body = put(server, "a")
    begun(server, "a")
    left = set(processes_of_jobs(server))
    os.kill(leader(server), signal.SIGKILL)
    until("what it had started is ended", lambda: not left & set(processes_of_jobs(server)))
    gate.touch()
    upload = in_state(server, "a", "archived")
    assert upload["attempts"] == 2
    [first, second] = upload["attempts_log"]
    assert first["outcome"] == "crashed"
    assert "signal 9" in first["reason"]
    assert second["outcome"] == "succeeded"
    kept.archived_bytes_are(server, {"a": sha256(body)})
    none_is_left(server)


def test_a_job_that_hangs_is_cancelled_with_all_its_processes_and_can_be_retried(serve, gate):
    server = serve(STUBBORN)
    body = put(server, "a")
    begun(server, "a")
    # Nor does the job itself find out that it is cancelled.
    os.kill(leader(server), signal.SIGSTOP)
    server.run("cancel", "a")
    upload = in_state(server, "a", "failed")
    assert "cancelled" in upload["reason"]
    none_is_left(server)
    assert kept.keys(server.s3(), server.staging) == ["a"], "it stays where it was"
    gate.touch()
    server.run("retry", "a")
    assert in_state(server, "a", "archived")["attempts"] >= 1
    kept.archived_bytes_are(server, {"a": sha256(body)})


def test_a_job_of_another_servers_time_is_cancelled_too(serve, gate):
    server = serve(STUBBORN)
    put(server, "a")
    begun(server, "a")
    server.kill()
    server.start()
    server.run("cancel", "a")
    none_is_left(server)
    assert in_state(server, "a", "failed")["attempts"] == 1


def test_a_job_beyond_its_time_or_memory_fails_and_leaves_nothing(serve):
    server = serve(STUBBORN, "--job-timeout-s", "1", "--max-attempts", "1")
    put(server, "slow")
    assert "time-out" in in_state(server, "slow", "failed")["reason"]
    none_is_left(server)
    hungry = "exec python3 -c 'import time; kept = bytearray(300 << 20); time.sleep(600)'"
    server = serve(hungry, "--job-memory-mib", "200", "--max-attempts", "1")
    put(server, "hungry")
    assert "200 MiB" in in_state(server, "hungry", "failed")["reason"]
    none_is_left(server)


def test_jobs_are_nice_and_keep_to_their_number(serve, gate):
    server = serve(WAITING, "--job-concurrency", "2", "--job-nice", "7")
    keys = [f"{number}" for number in range(5)]
    for key in keys:
        put(server, key)
    until("two run", lambda: server.api.counts()["processing"] == 2)
    assert len(leaders(server)) == 2
    gate.touch()
    for key in keys:
        assert in_state(server, key, "archived")["report"]["nice"] == 7 + os.nice(0)


def test_nobody_without_its_ticket_reads_a_jobs_file(serve, gate):
    server = serve(WAITING)
    put(server, "a")
    begun(server, "a")
    version = only(server, "a")["version_id"]
    for ticket in ("", "00" * 32):
        for path in ("bytes", "claim", "renew", "finish", "output"):
            request = urllib.request.Request(
                f"{server.record['jobs']}/job/1/{path}?bucket=staging&key=a&version_id={version}&token=1",
                method={"bytes": "GET", "output": "PUT"}.get(path, "POST"),
                data=None if path == "bytes" else b"{}",
                headers={"Content-Type": "application/json", "x-two-buckets-ticket": ticket},
            )
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=60)
            assert refused.value.code == 401
    gate.touch()
    in_state(server, "a", "archived")


@pytest.fixture
def serve_function(make_server, gate):
    """Starts a server whose large files are jobs of this Lambda function."""

    def start(name, *flags):
        words = ["--job-from-bytes", str(JOB_BYTES), "--function", str(FUNCTIONS / name)]
        words += ["--function-python", sys.executable] if name.endswith(".py") else []
        return make_server(*words, "--function-env", f"GATE={gate}", *flags)

    return start


def test_a_lambda_function_runs_in_a_job_and_moves_its_file_over_a_restart(serve_function, gate):
    server = serve_function("gated.py", "--function-moves")
    first = put(server, "a", seed=1)
    begun(server, "a")
    second = put(server, "a", seed=2)
    server.kill()
    server.start()
    gate.touch()
    kept.archived_bytes_are(server, {"a": sha256(second)})
    newer, older = (server.api.upload(it["id"]) for it in server.api.uploads(key="a"))
    assert [it["attempts"] for it in (older, newer)] == [1, 1]
    assert older["report"]["left_ms"] > 3_600_000, "no time-out of a function"
    assert older["report"]["sha256"] == sha256(first), "the version it was called for, though another had come"
    assert newer["report"]["sha256"] == sha256(second)
    none_is_left(server)


def test_a_function_in_a_job_that_never_moves_its_file_has_failed(serve_function, gate):
    gate.touch()
    server = serve_function("gated.py", "--function-moves", "--max-attempts", "1", "--function-env", "ONLY_READ=1")
    put(server, "a")
    assert "did not move" in in_state(server, "a", "failed")["reason"]
    assert kept.keys(server.s3(), server.archive) == []


def test_a_function_in_javascript_runs_in_jobs(serve_function):
    server = serve_function("index.mjs", "--job-concurrency", "4")
    bodies = {f"{number}": put(server, f"{number}") for number in range(8)}
    kept.archived_bytes_are(server, {key: sha256(body) for key, body in bodies.items()})
    assert [only(server, key)["attempts"] for key in bodies] == [1] * 8
    none_is_left(server)


def test_a_process_that_left_its_job_is_ended_with_it(serve, gate):
    gate.touch()
    server = serve("(setsid sleep 600 </dev/null >/dev/null 2>&1 &); wc -c")
    put(server, "a")
    in_state(server, "a", "archived")
    until("no sleeper is left", lambda: not processes_of(server, "sleep"))
    none_is_left(server)


def test_a_key_with_a_zero_byte_holds_up_nobody(make_server):
    server = make_server("--job-from-bytes", str(JOB_BYTES))
    bodies = {key: put(server, key) for key in ("a\0b", "-k --key=x", "line\nbreak")}
    kept.archived_bytes_are(server, {key: sha256(body) for key, body in bodies.items()})


def test_a_job_that_is_called_otherwise_than_its_server_is_refused(serve, gate):
    server = serve(WAITING)
    body = put(server, "a")
    begun(server, "a")
    version = only(server, "a")["version_id"]
    by_hand = server.run("job", "--key", "a", "--version", version, check=False)
    assert by_hand.returncode == 1
    assert "settings are not those of the server" in by_hand.stderr
    again = server.run("job", "--key", "a", "--version", version, *server.flags, check=False)
    assert "somebody else has the key" in again.stderr
    gate.touch()
    assert in_state(server, "a", "archived")["attempts"] == 1, "nothing has disturbed the one that runs"
    kept.archived_bytes_are(server, {"a": sha256(body)})


def test_a_stranger_at_the_servers_address_is_not_believed(serve, gate):
    server = serve(WAITING)
    body = put(server, "a")
    begun(server, "a")
    server.kill()
    at = urlsplit(server.record["jobs"])
    asked = threading.Event()

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.set()
            self.send_error(410)

        def log_message(self, *words):
            pass

    with http.server.HTTPServer((at.hostname, at.port), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        assert asked.wait(60)
        stranger.shutdown()
    server.start()
    gate.touch()
    assert in_state(server, "a", "archived")["attempts"] == 1
    kept.archived_bytes_are(server, {"a": sha256(body)})
