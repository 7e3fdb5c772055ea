"""Acknowledged means kept: the server is killed again and again under load, and every file it said yes to is there once."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

from harness import kept
from harness.content import sha256, some_bytes
from harness.waiting import until

KILLS = 25
WRITERS = 6
# In the log, at its limit for bodies, and in files of their own.
SIZES = [0, 100, 4096, 20_000, 131_072, 131_073, 400_000]
SEED = 20_261_123


class Writer:
    """Writes one new key after another, each once, and remembers which were acknowledged."""

    def __init__(self, server, number):
        # One attempt per file: a retry would send a file again whose first PUT may be kept.
        self.s3 = server.s3(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30)
        self.bucket = server.staging
        self.number = number
        self.random = random.Random(f"{SEED}/{number}")
        self.sent = {}
        self.acknowledged = set()
        self.refused = []

    def run(self, stop, alive):
        while not stop.is_set():
            alive.wait(timeout=1)
            key = f"{self.number}/{len(self.sent)}"
            body = some_bytes(self.random.choice(SIZES), f"{SEED}/{key}")
            self.sent[key] = sha256(body)
            try:
                self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
            except ClientError as refused:
                self.refused.append(str(refused))
            except BotoCoreError:
                continue  # killed before it could answer: the file may be kept or not, but never by half
            else:
                self.acknowledged.add(key)


def test_every_acknowledged_file_is_there_once_after_25_kills_under_load(server):
    lives = random.Random(SEED)
    writers = [Writer(server, number) for number in range(WRITERS)]
    acknowledged = lambda: sum(len(writer.acknowledged) for writer in writers)  # noqa: E731
    stop, alive = threading.Event(), threading.Event()
    alive.set()
    with ThreadPoolExecutor(WRITERS) as pool:
        running = [pool.submit(writer.run, stop, alive) for writer in writers]
        try:
            for _ in range(KILLS):
                enough = acknowledged() + lives.randint(1, 120)
                until("the server acknowledges files", lambda enough=enough: acknowledged() >= enough)
                alive.clear()
                server.kill()
                server.start()
                alive.set()
        finally:
            stop.set()
            alive.set()
        for writer in running:
            writer.result()

    assert [refused for writer in writers for refused in writer.refused] == []
    sent = {key: digest for writer in writers for key, digest in writer.sent.items()}
    acknowledged_keys = set().union(*(writer.acknowledged for writer in writers))
    assert len(acknowledged_keys) > KILLS * 2
    kept.staging_is_empty(server)

    s3 = server.s3()
    archived = Counter(key for key, _ in kept.versions(s3, server.archive))
    lost = acknowledged_keys - archived.keys()
    assert not lost, f"{len(lost)} acknowledged files are lost, such as {sorted(lost)[:5]}"
    doubled = {key: times for key, times in archived.items() if times > 1}
    assert not doubled, f"archived more than once: {doubled}"
    assert archived.keys() <= sent.keys(), "nothing is there that nobody sent"
    # Also the files whose answer the kill swallowed: whole or not at all.
    kept.archived_bytes_are(server, {key: sent[key] for key in archived})
    assert server.api.counts()["archived"] == len(archived)
