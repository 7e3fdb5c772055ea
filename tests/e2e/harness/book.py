"""The book of a client: what it sent, what it was told, and what must therefore be there when all is quiet."""

import json
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import unquote

from harness import kept
from harness.content import sha256

SOURCE = "two-buckets-source-version"
ORDER = "two-buckets-order"
READERS = 8


@dataclass
class Sent:
    """One file that was sent, whatever became of it."""

    key: str
    sha256: str
    began: float
    """When its place among the uploads of its key was fixed: when the PUT began, or a multipart upload was initiated."""
    version: str | None = None
    """The version that the server named when it said yes; none while it has not."""
    answered: float | None = None


@dataclass
class Book:
    """Threads write into it while they send."""

    sent: list = field(default_factory=list)
    by_unique_key: dict = field(default_factory=dict)
    """Keys made for one file each, which is acknowledged, by the SHA-256 of that."""
    refused: list = field(default_factory=list)
    set_aside: dict = field(default_factory=dict)
    """Every upload that was seen to have failed, by its id, as it was then; it may have been retried since."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, key, body):
        """Writes down that a file is about to be sent."""
        sent = Sent(key, sha256(body), time.monotonic())
        with self._lock:
            self.sent.append(sent)
        return sent

    def acknowledge(self, sent, version):
        """Writes down that the server said yes."""
        sent.version, sent.answered = version, time.monotonic()

    def acknowledge_unique(self, key, body):
        """Writes down that the file of a key of its own was acknowledged, however often it was sent."""
        with self._lock:
            self.by_unique_key[key] = sha256(body)

    def forget(self, keys):
        """Strikes out files whose client has deleted them."""
        gone = set(keys)
        with self._lock:
            self.sent = [sent for sent in self.sent if sent.key not in gone]

    def refuse(self, why):
        """Writes down an answer that nobody should get."""
        with self._lock:
            self.refused.append(why)

    def see_failed(self, rows):
        """Writes down what has failed, before it is retried."""
        with self._lock:
            self.set_aside |= {row["id"]: row for row in rows}

    def acknowledged(self):
        """How many files the server said yes to."""
        with self._lock:
            return sum(sent.version is not None for sent in self.sent) + len(self.by_unique_key)


class Kept:
    """All that a server has: its rows and what is in its buckets, with every byte read."""

    def __init__(self, server):
        s3 = server.s3()
        self.rows = server.api.uploads()
        self.by_version = {(row["key"], row["version_id"]): row for row in self.rows if row["version_id"]}
        self.counts = server.api.counts()
        self.said = json.loads(server.run("status", "--json").stdout)["counts"]
        self.staged = set(kept.versions(s3, server.staging, kinds=["Versions"]))
        # The newest first, as S3 lists them.
        self.archived = kept.versions(s3, server.archive, kinds=["Versions"])
        self.markers = [
            f"{bucket}/{key}"
            for bucket in (server.staging, server.archive)
            for key, _ in kept.versions(s3, bucket, kinds=["DeleteMarkers"])
        ]

        def looked_at(bucket):
            def look(at):
                found = s3.get_object(Bucket=bucket, Key=at[0], VersionId=at[1])
                body = found["Body"].read()
                return at, (found["Metadata"], sha256(body))

            return look

        with ThreadPoolExecutor(READERS) as pool:
            self.in_archive = dict(pool.map(looked_at(server.archive), self.archived))
            self.in_staging = dict(pool.map(looked_at(server.staging), self.staged))


def key_of(at, metadata):
    """The key that a version in the archive was sent under: its own, unless it is kept elsewhere and says so."""
    return unquote(metadata["two-buckets-key"]) if "two-buckets-key" in metadata else at[0]


def order_of(metadata):
    """A version's place among those of its key: Last-Modified in staging, then the number of its first listing."""
    return tuple(int(part) for part in metadata[ORDER].split("-"))


def problems(book, there, may_fail=lambda key: False, may_have_failed=lambda row: False, says_sha256=False, may_lose_report=False):
    """Everything that breaks a promise; nothing if all is well. Call it when the server has nothing left to do.

    Files whose keys `may_fail` names may be set aside; every other one must be archived, and may have been set aside on
    the way only where `may_have_failed` says so of its row. With `says_sha256` the function's report has the
    SHA-256 of the bytes it was given; with `may_lose_report` it may be lost, as where copy and record are two calls and a
    worker dies between them."""
    found = [f"refused: {why}" for why in book.refused]
    found += [f"{marker} has a delete marker that nobody asked for" for marker in there.markers]
    wanted = defaultdict(set)
    for sent in book.sent:
        wanted[sent.key].add(sent.sha256)
    for key, digest in book.by_unique_key.items():
        wanted[key].add(digest)
    results = {at for at in there.in_archive if at[0].startswith("_results/")}

    # One archive record per upload, and nothing that nobody sent.
    of_source = defaultdict(list)
    for at, (metadata, digest) in there.in_archive.items():
        if at in results:
            continue
        of_source[metadata.get(SOURCE)].append(at)
        key = key_of(at, metadata)
        if digest not in wanted[key]:
            found.append(f"{at} in the archive has bytes that nobody sent under {key}")
    found += [f"version {source} is in the archive as {places}" for source, places in of_source.items() if len(places) != 1]

    found += [
        f"{row['key']} was set aside: {row['reason']}"
        for row in book.set_aside.values()
        if not may_fail(row["key"]) and not may_have_failed(row)
    ]

    # Every acknowledged file is archived, or set aside with its bytes.
    for sent in book.sent:
        if sent.version is None:
            continue
        row = there.by_version.get((sent.key, sent.version))
        if row is None:
            found.append(f"{sent.key} {sent.version} was acknowledged and has no row")
        elif row["state"] in ("archived", "late"):
            at = (row["archive"]["key"], row["archive"]["version_id"])
            metadata, digest = there.in_archive.get(at, ({}, "nothing"))
            if digest != sent.sha256 or metadata.get(SOURCE) != sent.version:
                found.append(f"{sent.key} {sent.version} is {row['state']} at {at}, which has {digest} of {metadata}")
            is_lost = may_lose_report and row["report"] is None
            if says_sha256 and not is_lost and sent.sha256 not in json.dumps(row["report"]):
                found.append(f"the function was given other bytes of {sent.key} {sent.version}: {row['report']}")
        elif row["state"] == "failed" and may_fail(sent.key):
            if there.in_staging.get((sent.key, sent.version), (None, None))[1] != sent.sha256 or not row["reason"]:
                found.append(f"{sent.key} {sent.version} has failed and lost its bytes or its reason: {row}")
        else:
            found.append(f"{sent.key} {sent.version} is {row['state']}: {row['reason']}")
    for key, digest in book.by_unique_key.items():
        places = [at for at, (_, its) in there.in_archive.items() if at[0] == key and its == digest]
        if len(places) != 1:
            found.append(f"the one file of {key} is in the archive {len(places)} times")

    # In order per key, the current one is the latest, and what came late had something newer before it.
    orders = defaultdict(list)
    late = defaultdict(list)
    for at in there.archived:
        metadata, _ = there.in_archive[at]
        if at not in results and ORDER in metadata:
            of_key = late if at[0].startswith("_late/") else orders
            of_key[key_of(at, metadata)].append(order_of(metadata))
    found += [f"the archive's versions of {key} are not in order" for key, has in orders.items() if has != sorted(has, reverse=True)]
    found += [
        f"{key} has one beside it that is newer than what is current"
        for key, places in late.items()
        if not orders[key] or max(places) > orders[key][0]
    ]
    place = {}
    for at, (metadata, _) in there.in_archive.items():
        if SOURCE in metadata:
            place[metadata[SOURCE]] = order_of(metadata)
    by_key = defaultdict(list)
    for sent in book.sent:
        if sent.version in place:
            by_key[sent.key].append(sent)
    for key, several in by_key.items():
        for one in several:
            for other in several:
                if one.answered < other.began and not place[one.version] < place[other.version]:
                    found.append(f"{key}: {one.version} was acknowledged before {other.version} began and is behind it")

    # Nothing is forgotten, and what is told agrees with what is there.
    failed = {(row["key"], row["version_id"]) for row in there.rows if row["state"] == "failed" and row["version_id"]}
    if there.staged != failed:
        found.append(f"staging has {sorted(there.staged - failed)[:5]} beside what failed, and lacks {sorted(failed - there.staged)[:5]}")
    states = Counter(row["state"] for row in there.rows)
    for counts in (there.counts, there.said):
        if {state: count for state, count in counts.items() if count} != dict(states):
            found.append(f"the counts say {counts}, the rows {dict(states)}")
    unfinished = [row for row in there.rows if row["state"] in ("pending", "processing") and not row["expected"]]
    if unfinished:
        found.append(f"{len(unfinished)} uploads are unfinished, such as {unfinished[0]}")
    return found
