"""The server is killed again and again under load, and every file it said yes to is there once, or set aside with its reason.

`cargo xtask torture` runs the same with a hundred kills or more."""

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import senders
from harness.book import Book, Kept, problems
from harness.waiting import until, until_quiet

KILLS = int(os.environ.get("TWO_BUCKETS_TORTURE_KILLS", "25"))
SEED = os.environ.get("TWO_BUCKETS_TORTURE_SEED", "20261126")
# The function: slow at times, failing at first on some files, and for good on others until their cause is mended.
FUNCTION = """
said=$(sha256sum)
case "$TWO_BUCKETS_KEY" in
  bad/*) [ -e "$MENDED" ] || { echo "not mended yet" >&2; exit 65; } ;;
  poison/*) echo "poison" >&2; exit 65 ;;
  shaky/*) [ "$TWO_BUCKETS_ATTEMPT" -ge 2 ] || exit 1 ;;
  job/*) sleep 0.$((TWO_BUCKETS_SIZE % 7)) ;;
esac
[ $((TWO_BUCKETS_SIZE % 5)) -ne 2 ] || sleep 0.05
echo "$said"
"""


def test_nothing_acknowledged_is_lost_doubled_mixed_up_or_forgotten_however_often_the_server_is_killed(make_server, tmp_path):
    mended = tmp_path / "mended"
    server = make_server(
        "--shell", "--command", FUNCTION, "--command-env", f"MENDED={mended}",
        "--job-from-bytes", str(senders.JOB_BYTES), "--sweep-interval-s", "5",
    )
    book = Book()
    everybody = [
        senders.Fresh(server, book, SEED, "fresh-1"),
        senders.Fresh(server, book, SEED, "fresh-2"),
        senders.Overwriter(server, book, SEED, "over-1", pause_s=0.02),
        senders.Overwriter(server, book, SEED, "over-2", pause_s=0.02),
        senders.InParts(server, book, SEED, "parts-1"),
        senders.InParts(server, book, SEED, "parts-2"),
        senders.Jobs(server, book, SEED, "jobs", pause_s=0.5),
        senders.Minted(server, book, SEED, "minted"),
        senders.Operator(server, book, SEED, "operator", pause_s=1),
    ]
    choices = random.Random(SEED)
    stop, alive = threading.Event(), threading.Event()
    alive.set()
    with ThreadPoolExecutor(len(everybody)) as pool:
        running = [pool.submit(sender.run, stop, alive) for sender in everybody]
        try:
            for _ in range(KILLS):
                enough = book.acknowledged() + choices.randint(1, 120)
                until("the server acknowledges files", lambda: book.acknowledged() >= enough)
                alive.clear()
                server.kill()
                if choices.random() < 0.25:
                    # And once more before it is ready.
                    server.launch()
                    stop.wait(choices.uniform(0, 0.3))
                    server.kill()
                server.start()
                alive.set()
        finally:
            stop.set()
            alive.set()
        for sender in running:
            sender.result()

    poison = senders.Fresh(server, book, SEED, "poison")
    poison.put("poison/1", poison.body())
    mended.touch()
    until_quiet(server)
    server.api.post("/api/retry", {"all": True})
    until_quiet(server)
    there = Kept(server)
    found = problems(
        book, there, says_sha256=True,
        may_fail=lambda key: key.startswith("poison/"),
        # Each kill in the middle of it counts; five of one file are bad luck, and no mistake.
        may_have_failed=lambda row: row["key"].startswith("bad/") or "ended without an answer" in row["reason"],
    )
    assert not found, f"{len(found)} promises are broken:\n" + "\n".join(found[:30])
    # And it was no stroll.
    assert there.counts["archived"] > KILLS * 2
    assert there.counts["late"] and there.counts["failed"] and book.set_aside
    assert any(row["job"] and row["state"] == "archived" for row in there.rows)
    assert any(row["attempts"] > 1 for row in there.rows)
    print(f"{KILLS} kills, {book.acknowledged()} acknowledged: {there.counts}; {len(there.archived)} versions in the archive")


# What must be noticed, should it ever happen, and what is then said.
BROKEN = {
    "lost from the archive": (lambda s3, at, _: s3.delete_object(Bucket="archive", **at), "which has nothing"),
    "kept twice": (lambda s3, at, _: copy_back(s3, at), "is in the archive as"),
    "mixed up": (lambda s3, at, other: copy_back(s3, at, other), "bytes that nobody sent"),
    "sent by nobody": (lambda s3, *_: s3.put_object(Bucket="archive", Key="new", Body=b"new"), "bytes that nobody sent"),
    "hidden": (lambda s3, at, _: s3.delete_object(Bucket="archive", Key=at["Key"]), "delete marker"),
}


def copy_back(s3, at, other=None):
    """Puts an archived version there once more, with its own bytes or those of another one."""
    whole = s3.get_object(Bucket="archive", **at)
    body = s3.get_object(Bucket="archive", **(other or at))["Body"].read()
    s3.put_object(Bucket="archive", Key=at["Key"], Body=body, Metadata=whole["Metadata"])


@pytest.mark.parametrize("broken", BROKEN)
def test_the_book_finds_a_broken_promise(server, broken):
    book = Book()
    sender = senders.Fresh(server, book, SEED, "one")
    for key in ("a", "b", "a"):
        sender.number += 1
        sender.put(key, sender.body(1_000))
    until_quiet(server)
    assert not problems(book, Kept(server))
    s3 = server.s3()
    one, other = [
        {"Key": row["archive"]["key"], "VersionId": row["archive"]["version_id"]}
        for key in ("a", "b") for row in server.api.uploads(key=key)[:1]
    ]
    do, words = BROKEN[broken]
    do(s3, one, other)
    found = problems(book, Kept(server))
    assert any(words in problem for problem in found), found


def test_the_book_finds_a_file_that_is_late_without_reason_and_one_that_the_function_never_saw(make_server):
    server = make_server("--command", "sha256sum")
    book = Book()
    sender = senders.Fresh(server, book, SEED, "one")
    sender.put("a", sender.body(1_000))
    until_quiet(server)
    there = Kept(server)
    assert not problems(book, there, says_sha256=True)
    [(at, (metadata, digest))] = there.in_archive.items()
    [row] = there.rows
    row["report"] = {"stdout": "of something else"}
    assert "was given other bytes" in problems(book, there, says_sha256=True)[0]
    # Nobody but the pipeline may write there.
    beside = ("_late/x", at[1])
    there.in_archive = {beside: (metadata | {"two-buckets-key": "a"}, digest)}
    there.archived = [beside]
    row["state"], row["archive"]["key"] = "late", beside[0]
    assert "a has one beside it that is newer than what is current" in problems(book, there)
