"""A thousand files through the functions of a deployment while everything goes wrong that may: events are lost, doubled and
late, S3 is busy, broken and in conflict, environments are killed in mid-work. Then every promise is looked at.

The chain is our own S3 → SQS (moto) → the `processor` function under our own Lambda host → DynamoDB (moto) → archive, and the
`sweep` function on a schedule; the same with `two-buckets work`."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.book import Book, problems
from harness.content import MIB, some_bytes
from harness.deployment import INCOMING, KEPT, Kept, deployed
from harness.mapping import Function, Mapping, kill_now_and_then
from harness.programs import function
from harness.waiting import until

FILES = 1_000
"""Some under one key several times, some of no bytes, one that is copied in parts."""
SIZES = [0, 1, 100, 4_096, 20_000, 131_073, 400_000]
SEED = "chain on aws"
IN_PARTS = 12 * MIB
"""With copies of at most 5 MiB at once, the least that S3 takes for a part."""

WEATHER = [
    {"name": "busy", "operation": "*", "bucket": [INCOMING, KEPT], "fault": "SlowDown", "probability": 0.02},
    {"name": "broken", "operation": "CopyObject", "fault": "InternalError", "took_effect": True, "probability": 0.03},
    {"name": "in a 200", "operation": ["CopyObject", "UploadPartCopy"], "fault": "error-in-200", "probability": 0.03},
    {"name": "in conflict", "operation": "CopyObject", "fault": "ConditionalRequestConflict", "probability": 0.05},
    {"name": "lost", "operation": ["CopyObject", "DeleteObject"], "fault": "cut", "took_effect": True, "probability": 0.03},
    {"name": "cut short", "operation": "GetObject", "bucket": INCOMING, "fault": "cut-answer", "probability": 0.02},
]


@pytest.fixture
def deployment(make_server, tmp_path):
    with deployed(make_server, tmp_path, visibility_timeout_s=25) as deployment:
        deployment.variables |= {
            "TWO_BUCKETS_SINGLE_COPY_BYTES_MAX": str(5 * MIB),
            "TWO_BUCKETS_FUNCTION_LIMIT_S": "10",
            # Killed attempts count; none may fail by them here.
            "TWO_BUCKETS_MAX_ATTEMPTS": "20",
            "TWO_BUCKETS_LOG": "info",
        }
        yield deployment


class Crowd:
    """Who sends the files, and what becomes of their events."""

    def __init__(self, deployment):
        self.deployment, self.book = deployment, Book()
        self.random = random.Random(SEED)
        self.jobs = [(self.key(number), self.body(number)) for number in range(FILES)]

    def key(self, number):
        # A fifth of the files are versions of ten keys.
        if number % 5 == 0:
            return f"again/{number // 5 % 10}"
        return self.random.choice(["plain/{}", "a b+c/{}", "ü/é&%2F{}", "deep/er/and/{}/.hidden"]).format(number)

    def body(self, number):
        size = IN_PARTS if number == FILES // 2 else self.random.choice(SIZES)
        return some_bytes(size, f"{SEED}/{number}")

    def send(self, jobs):
        def put(job):
            key, body = job
            sent = self.book.begin(key, body)
            answer = self.deployment.s3.put_object(Bucket=INCOMING, Key=key, Body=body)
            self.book.acknowledge(sent, answer["VersionId"])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, jobs))

    def send_all(self):
        """Of a tenth nobody is told, and of a tenth twice."""
        tenth = FILES // 10
        self.send(self.jobs[:tenth])
        self.deployment.ask_for_events()
        self.send(self.jobs[tenth:])
        for key, _ in self.jobs[-tenth:]:
            self.deployment.tell(key)


def settled(deployment):
    return not deployment.versions(INCOMING)


def weather(deployment, rules):
    deployment.server.api._call("PUT", "/api/faults", {"fault": rules})


def assert_promises_kept(deployment, book):
    weather(deployment, [])
    assert book.acknowledged() == FILES
    found = problems(book, Kept(deployment))
    assert not found, "\n".join(found[:20])


def sweeping(sweep, stop, every_s):
    """The schedule. A sweep that fails is a failure of the schedule's call, and the next one comes all the same."""
    while not stop.wait(every_s):
        sweep.invoke({})


def test_the_functions_keep_every_promise_in_bad_weather(deployment):
    weather(deployment, WEATHER)
    crowd = Crowd(deployment)
    log = deployment.folder / "functions.log"
    processor = Function(function("processor"), deployment.variables, log, concurrency=3, timeout_s=20)
    sweep = Function(function("sweep"), deployment.variables, deployment.folder / "sweep.log")
    stop = threading.Event()
    mapping = Mapping(deployment, processor, pollers=3)
    with ThreadPoolExecutor(2) as pool:
        try:
            swept = pool.submit(sweeping, sweep, stop, 5)
            killed = pool.submit(kill_now_and_then, processor, stop, SEED)
            crowd.send_all()
            until("staging is empty", lambda: settled(deployment), within_s=400)
        finally:
            stop.set()
            swept.result()
            mapping.close()
            processor.close()
            sweep.close()
    assert killed.result() >= 5 and len(mapping.failures) >= 3, mapping.failures
    assert_promises_kept(deployment, crowd.book)


def test_a_worker_keeps_every_promise_in_bad_weather(deployment):
    weather(deployment, WEATHER)
    crowd = Crowd(deployment)
    words = ("work", "--workers", "4", "--sweep-interval-s", "5")
    worker = deployment.launch(*words)
    try:
        crowd.send_all()
        # A crash in the middle; whoever comes next takes over once the leases have run out.
        worker.kill()
        worker.wait()
        worker = deployment.launch(*words)
        until("staging is empty", lambda: settled(deployment), within_s=300)
    finally:
        worker.kill()
        worker.wait()
    assert_promises_kept(deployment, crowd.book)
