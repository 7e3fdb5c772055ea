"""What the machine does to a server: no disk left, no file descriptors, a clock that jumps, a stop in mid-work, a copied folder."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from harness import jobs, kept, senders
from harness.book import Book, Kept, problems
from harness.content import MIB, some_bytes
from harness.server import Server
from harness.waiting import until, until_quiet

SEED = "under fire"
DESCRIPTORS = 96


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 600 MiB of the test's own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def is_full(error):
    """Whether the server says that its disk is full: 503, which every SDK repeats after a while."""
    answer = error.response
    return answer["ResponseMetadata"]["HTTPStatusCode"] == 503 and "full" in answer["Error"]["Message"]


def fill(server, book, prefix, size):
    """Sends files until the disk is full."""
    sender = senders.Sender(server, book, SEED, prefix)
    for sender.number in range(2_000):
        try:
            sender.put(f"{prefix}/{sender.number}", sender.body(size))
        except ClientError as error:
            assert is_full(error), error
            return sender
    raise AssertionError("the disk was never full")


def test_a_full_disk_refuses_uploads_and_loses_nothing_and_goes_on_once_there_is_room(make_server, small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(100 * MIB))
    server = make_server(data=small_disk / "data")
    book = Book()
    sender = fill(server, book, "large", MIB)
    # Smaller ones fit into no gap either: what is left is for what was accepted to be finished.
    fill(server, book, "small", 10_000)
    until_quiet(server)
    assert book.acknowledged() > 100
    assert not problems(book, Kept(server), says_sha256=True), "what was accepted is archived though the disk is full"
    server.kill()
    server.start()
    assert not problems(book, Kept(server), says_sha256=True), "and is still there after a kill"

    # Deleting gives room back, and so does somebody else's file that goes.
    s3 = server.s3()
    gone = kept.versions(s3, server.archive, "large/")[:50]
    s3.delete_objects(Bucket=server.archive, Delete={"Objects": [{"Key": key, "VersionId": version} for key, version in gone]})
    book.forget(key for key, _ in gone)
    until("there is room again", lambda: can_put(sender, "again/1"))
    ballast.unlink()
    sender.put("again/2", sender.body(20 * MIB))
    until_quiet(server)
    assert not problems(book, Kept(server), says_sha256=True)


def can_put(sender, key):
    try:
        sender.put(key, sender.body(MIB))
    except ClientError as error:
        assert is_full(error), error
        return False
    return True


def test_a_disk_that_others_fill_to_the_last_byte_loses_nothing(make_server, small_disk):
    server = make_server(data=small_disk / "data")
    book = Book()
    sender = senders.Sender(server, book, SEED, "before")
    for sender.number in range(50):
        sender.put(f"before/{sender.number}", sender.body())
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(MIB))
    refused = 0
    for sender.number in range(50, 100):
        try:
            sender.put(f"before/{sender.number}", sender.body())
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (500, 503), error
            refused += 1
    assert refused == 50
    # What is there can still be read.
    assert server.s3().head_bucket(Bucket=server.archive)
    server.kill()
    server.launch()
    ended = until("it says that it cannot start, or it starts", lambda: server.process.poll() is not None or server.is_ready())
    ballast.unlink()
    if server.process.poll() is not None:
        assert "No space" in server.log.read_text() or "full" in server.log.read_text()
        server.start()
    assert ended
    sender.number = 100
    sender.put("after", sender.body())
    until_quiet(server)
    assert not problems(book, Kept(server), says_sha256=True)


def test_without_file_descriptors_nothing_is_lost_and_it_goes_on_once_they_are_back(make_server):
    # Files run a program each, which takes descriptors too.
    limited = ["sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh"]
    server = make_server("--command", "sha256sum", through=limited)
    book = Book()
    host, port = server.endpoint.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        idle = []
        for _ in range(200):
            try:
                idle.append(stack.enter_context(socket.create_connection((host, int(port)), timeout=5)))
            except OSError:
                break
        stop, alive = threading.Event(), threading.Event()
        alive.set()
        everybody = [senders.Fresh(server, book, SEED, f"many-{number}", read_timeout=5) for number in range(20)]
        with ThreadPoolExecutor(len(everybody)) as pool:
            running = [pool.submit(sender.run, stop, alive) for sender in everybody]
            most = 0
            for _ in range(100):
                most = max(most, descriptors(server))
                stop.wait(0.05)
            stop.set()
            for sender in running:
                sender.result()
        assert server.process.poll() is None, "it has not ended"
        assert most >= DESCRIPTORS - 2, "it had some left"
    book.refused.clear()  # being turned away is an honest answer here
    sender = senders.Fresh(server, book, SEED, "after")
    until("it serves again", lambda: sends(sender))
    server.run("retry", "--all")
    until_quiet(server)
    assert not problems(book, Kept(server), says_sha256=True)


def descriptors(server):
    """How many it has open."""
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def sends(sender):
    try:
        sender.send()
    except senders.NO_ANSWER + (ClientError,):
        return False
    return True


@pytest.fixture
def wall_clock(tmp_path):
    """A wall clock to be moved for the programs that get its variables; their monotonic one goes on."""
    [*found] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    if not found:
        pytest.skip("no libfaketime here (Debian's package faketime); `cargo xtask test` installs it where it can")

    class WallClock:
        file = tmp_path / "wall-clock"
        variables = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

        def move(self, seconds):
            """Sets it so many seconds beside the real one."""
            new = self.file.with_suffix(".new")
            new.write_text(f"{seconds:+d}s\n")
            new.rename(self.file)

    clock = WallClock()
    clock.move(0)
    return clock


def test_a_wall_clock_that_jumps_an_hour_either_way_mixes_up_nothing(make_server, wall_clock):
    slow = 'echo begun >&2; sleep 0.2; sha256sum'
    server = make_server("--shell", "--command", slow, variables=wall_clock.variables)
    book = Book()

    def put(key, seed):
        # Signed by the server, so by its own clock.
        body = some_bytes(5_000, seed)
        grant = server.api.post("/api/signedurl", {"size": len(body), "key": key})
        sent = book.begin(key, body)
        book.acknowledge(sent, server.api.send(grant, body))

    for number, seconds in enumerate([0, 3600, -3600, 0, 7200, -60]):
        for key in ("a", "b", "c"):
            put(key, f"{number} {key} first")
        until("something is in work", lambda: server.api.counts()["processing"])
        wall_clock.move(seconds)
        for key in ("a", "b", "c"):
            put(key, f"{number} {key} second")
    until_quiet(server)
    wall_clock.move(0)
    assert not problems(book, Kept(server), says_sha256=True)
    assert len(book.sent) == 36
    # Nothing was tried twice because its lease seemed to have run out.
    assert {row["attempts"] for row in server.api.uploads()} == {1}


def test_a_job_that_stalls_past_its_lease_is_ended_and_its_file_archived_once_by_the_next_attempt(make_server, wall_clock, tmp_path):
    gate = tmp_path / "gate"
    script = 'echo "begun" >&2; while [ ! -e "$GATE" ]; do sleep 0.05; done; sha256sum'
    server = make_server(
        "--shell", "--command", script, "--command-env", f"GATE={gate}", "--job-from-bytes", "1000",
        variables=wall_clock.variables,
    )
    book = Book()
    body = some_bytes(5_000, "stalls")
    grant = server.api.post("/api/signedurl", {"size": len(body), "key": "stalls"})
    sent = book.begin("stalls", body)
    book.acknowledge(sent, server.api.send(grant, body))
    until("the job has begun", lambda: "begun" in server.run("logs", "stalls").stdout)
    [job] = jobs.leaders(server)
    os.kill(job, signal.SIGSTOP)
    wall_clock.move(3600)
    # Another server, for that which started it would see the process and wait for it.
    server.kill()
    server.start()
    server.run("sweep")
    until("it is tried again, and the one that stalled is gone", lambda: jobs.leaders(server) not in ([], [job]))
    assert job not in jobs.processes_of_jobs(server)
    gate.touch()
    until_quiet(server)
    jobs.none_is_left(server)
    wall_clock.move(0)
    found = Kept(server)
    assert not problems(book, found)
    [row] = found.rows
    assert row["attempts"] == 2


def test_a_server_that_is_stopped_for_longer_than_a_lease_goes_on_and_doubles_nothing(make_server, wall_clock):
    server = make_server("--shell", "--command", "echo begun >&2; sleep 1; sha256sum", variables=wall_clock.variables)
    book = Book()
    for number in range(4):
        body = some_bytes(5_000, number)
        grant = server.api.post("/api/signedurl", {"size": len(body), "key": "k"})
        sent = book.begin("k", body)
        book.acknowledge(sent, server.api.send(grant, body))
    until("it is in work", lambda: server.api.counts()["processing"])
    server.process.send_signal(signal.SIGSTOP)
    wall_clock.move(3600)
    server.process.send_signal(signal.SIGCONT)
    server.run("sweep")
    until_quiet(server)
    wall_clock.move(0)
    assert not problems(book, Kept(server), says_sha256=True)


def test_a_data_folder_that_was_copied_while_running_is_whole_elsewhere_or_refused(make_server, tmp_path):
    server = make_server("--command", "sha256sum")
    book = Book()
    stop, alive = threading.Event(), threading.Event()
    alive.set()
    everybody = [senders.Fresh(server, book, SEED, f"copied-{number}") for number in range(4)]
    refused = 0
    with ThreadPoolExecutor(len(everybody)) as pool:
        running = [pool.submit(sender.run, stop, alive) for sender in everybody]
        try:
            for number in range(8):
                enough = book.acknowledged() + 150
                until("files are acknowledged", lambda enough=enough: book.acknowledged() >= enough)
                before = [sent for sent in list(book.sent) if sent.version is not None]
                copy = tmp_path / f"copy-{number}"
                subprocess.run(["cp", "-a", server.data, copy], capture_output=True)
                # Sending at full speed while a copy is looked at would only make the next one larger.
                alive.clear()
                said = opened_elsewhere(copy, before, book)
                alive.set()
                assert said is None or ("made while its server ran" in said and str(copy) in said), said
                refused += said is not None
                shutil.rmtree(copy)
        finally:
            stop.set()
        for sender in running:
            sender.result()
    print(f"{refused} of 8 copies refused")
    until_quiet(server)
    assert not problems(book, Kept(server), says_sha256=True), "and the one that was copied noticed nothing"
    assert server.stop() == 0
    copy = tmp_path / "copy-of-stopped"
    subprocess.run(["cp", "-a", server.data, copy], check=True)
    assert opened_elsewhere(copy, book.sent, book) is None


def opened_elsewhere(copy, before, book):
    """Opens a copied data folder, and checks that all is there that was acknowledged before it was copied. Returns what
    was said if it cannot be opened."""
    folder = copy.with_name(f"{copy.name}-elsewhere")
    folder.mkdir()
    other = Server(folder, "--command", "sha256sum", data=copy)
    other.launch()
    try:
        if until("it starts or ends", lambda: other.is_ready() or (other.process.poll() is not None and "ended")) == "ended":
            return other.log.read_text()
        until_quiet(other)
        there = Kept(other)
        # What was sent while it was copied may be there, as it was sent.
        found = [problem for problem in problems(Book(sent=before), there) if "bytes that nobody sent" not in problem]
        assert not found, "\n".join(found[:10])
        assert {digest for _, digest in there.in_archive.values()} <= {sent.sha256 for sent in list(book.sent)}
        return None
    finally:
        other.kill()
