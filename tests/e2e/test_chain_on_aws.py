"""Hundreds of files (`TWO_BUCKETS_CHAIN_FILES` says how many) through the functions of a deployment while everything goes
wrong that may: events are lost, doubled and late, S3 is busy, broken and in conflict, ledger and queue are busy and their
answers get lost, environments are killed in mid-work. Then every promise is looked at.

The chain is our own S3 → SQS (moto) → the `processor` function under our own Lambda host → DynamoDB (moto) → archive, and the
`sweep` function on a schedule; the same with `two-buckets work`."""

import os
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote_plus

import botocore.exceptions
import pytest

from harness import metrics, moto
from harness.book import Book, problems
from harness.content import MIB, some_bytes
from harness.deployment import INCOMING, KEPT, Kept, deployed
from harness.mapping import Function, Mapping, kill_now_and_then
from harness.programs import function
from harness.waiting import until

sys.path.append(str(Path(__file__).parents[1] / "deploy"))
import tables  # noqa: E402 (of the template's own tests)
import template  # noqa: E402

FILES = int(os.environ.get("TWO_BUCKETS_CHAIN_FILES", "200"))
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
    try:
        return not deployment.versions(INCOMING)
    except botocore.exceptions.ClientError:
        # Who looks is in the same weather.
        return False


def bad_weather(deployment):
    deployment.server.api._call("PUT", "/api/faults", {"fault": WEATHER})
    for url in (deployment.dynamodb_url, deployment.sqs_url):
        # Of throttling little: after each the SDK sends less for a while, as it should.
        moto.weather(url, busy=0.003, conflicts=0.03, lost=0.01)


def fair_weather(deployment):
    deployment.server.api._call("DELETE", "/api/faults", None)
    moto.weather(deployment.sqs_url)
    seen = moto.weather(deployment.dynamodb_url)
    assert set(seen) == {"busy", "conflict", "lost"}, seen


def assert_promises_kept(deployment, book):
    fair_weather(deployment)
    assert book.acknowledged() == FILES
    found = problems(book, Kept(deployment))
    assert not found, "\n".join(found[:20])


def sweeping(sweep, stop, every_s):
    """The schedule. A sweep that fails is a failure of the schedule's call, and the next one comes all the same."""
    while not stop.wait(every_s):
        sweep.invoke({})


def test_the_functions_keep_every_promise_in_bad_weather(deployment):
    bad_weather(deployment)
    crowd = Crowd(deployment)
    log = deployment.folder / "functions.log"
    processor = Function(function("processor"), deployment.variables, log, concurrency=3, timeout_s=20)
    sweep = Function(function("sweep"), deployment.variables, deployment.folder / "sweep.log")
    stop = threading.Event()
    mapping = Mapping(deployment, processor, pollers=3)
    with ThreadPoolExecutor(2) as pool:
        try:
            swept = pool.submit(sweeping, sweep, stop, 10)
            killed = pool.submit(kill_now_and_then, processor, stop, SEED)
            crowd.send_all()
            until("staging is empty", lambda: settled(deployment), within_s=600)
        finally:
            stop.set()
            swept.result()
            mapping.close()
            processor.close()
            sweep.close()
    assert killed.result() >= 5 and len(mapping.failures) >= 3, mapping.failures
    assert_promises_kept(deployment, crowd.book)


def test_a_worker_keeps_every_promise_in_bad_weather(deployment):
    bad_weather(deployment)
    crowd = Crowd(deployment)
    words = ("work", "--workers", "4", "--sweep-interval-s", "10")
    worker = deployment.launch(*words)
    try:
        crowd.send_all()
        # A crash in the middle; whoever comes next takes over once the leases have run out.
        worker.kill()
        worker.wait()
        worker = deployment.launch(*words)
        until("staging is empty", lambda: settled(deployment), within_s=600)
    finally:
        worker.kill()
        worker.wait()
    assert_promises_kept(deployment, crowd.book)


# What the functions call in fair weather for one file whose event came once, at most; pollers and senders not counted.
CALLS_A_FILE = {
    "s3": {"ListObjectVersions": 1, "HeadObject": 4, "GetObject": 1, "CopyObject": 1, "DeleteObject": 1},
    "dynamodb": {"UpdateItem": 2, "BatchGetItem": 1, "TransactWriteItems": 4},
    "sqs": {},
}
# Once for each invocation or for the first of an environment, beside that.
BESIDES = {"GetItem"}
DYNAMODB_BYTES_A_FILE = 9_000
"""Of requests: what is written, and the conditions."""

# What only trouble calls, so that fair weather does not show it.
IN_TROUBLE = {
    "AbortMultipartUpload": "a copy in parts that failed",
    "DeleteItem": "in a transaction",
    "PutItem": "in a transaction, and logs",
    "ConditionCheckItem": "in a transaction",
    "Query": "a version that is gone, and jobs",
    "ChangeMessageVisibility": "Lambda's poller",
    "SendMessage": "a key is put back",
    "Invoke": "the user's function, which this chain has not",
    "AssumeRole": "the same",
    "SubmitJob": "jobs, which this chain has not",
    "ListJobs": "the same",
    "DescribeJobs": "the same",
}


def s3_calls(deployment):
    """Answers so far by operation."""
    found = {}
    for of, value in metrics.collect(deployment.server).samples("s3_requests_total"):
        found[of["operation"]] = found.get(of["operation"], 0) + value
    return found


def test_a_file_costs_no_more_calls_than_it_must_and_no_call_is_without_a_right(deployment):
    keys = [f"plain/{number}" for number in range(50)]
    deployment.put(*keys)
    deployment.s3.put_object(
        Bucket=INCOMING, Key="large", Body=some_bytes(IN_PARTS, SEED), Tagging="kind=large"
    )
    processor = Function(function("processor"), deployment.variables, deployment.folder / "processor.log")
    try:
        # The first asks for what an environment learns once.
        processor.invoke(event_of("large"))
        before = s3_calls(deployment)
        large = dict(before)
        calls_of(deployment)
        for key in keys:
            assert processor.invoke(event_of(key))["answer"] == {"keys": 1}
    finally:
        processor.close()
    after = s3_calls(deployment)
    called = {"s3": {name: count - before.get(name, 0) for name, count in after.items()}} | calls_of(deployment)
    assert sorted(deployment.versions(KEPT)) == sorted([*keys, "large"])
    for service, at_most in CALLS_A_FILE.items():
        for operation, counted in called[service].items():
            if counted and operation not in BESIDES:
                assert counted <= len(keys) * at_most.get(operation, 0), (service, operation, counted, called)
    assert called["bytes"] <= len(keys) * DYNAMODB_BYTES_A_FILE, called

    seen = {name for name, count in (after | large).items() if count} | set(called["dynamodb"]) | set(called["sqs"])
    assert seen >= {"UploadPartCopy", "CompleteMultipartUpload", "GetObjectTagging"}, seen
    rights = rights_of("ProcessorRole")
    mine = {"PutObject", "CreateBucket", "PutBucketVersioning", "PutBucketNotificationConfiguration"}
    without = {name for name in seen - mine if not any(name in why for why in rights.values())}
    assert not without, f"nothing in the template says that {without} may be called"
    idle = {
        action: why
        for action, why in rights.items()
        if not any(name in why for name in seen | set(IN_TROUBLE)) and "Lambda" not in why and "KMS" not in why
    }
    idle = {action: why for action, why in idle.items() if not action.startswith(("kms:", "logs:", "xray:"))}
    assert not idle, f"the template grants what nothing calls: {idle}"


def event_of(key):
    """S3's event, given to the function directly."""
    record = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
    return {"Records": [record | {"s3": {"bucket": {"name": INCOMING}, "object": {"key": quote_plus(key)}}}]}


def calls_of(deployment):
    """What moto was asked since this was asked last: calls by service, and the bytes of requests to the ledger."""
    dynamodb, sqs = moto.calls(deployment.dynamodb_url), moto.calls(deployment.sqs_url)
    return {
        "dynamodb": {name: count for name, (count, _) in dynamodb.items()},
        "sqs": {name: count for name, (count, _) in sqs.items()},
        "bytes": sum(size for _, size in dynamodb.values()),
    }


def rights_of(role):
    """What a role of the template may do, and for which call, as the template says beside it."""
    rights = {}
    for row in list(tables.permissions(template.load()))[2:]:
        who, action, _, why = (cell.strip() for cell in row.strip("|").split(" | "))
        if f"`{role}`" in who and not action.startswith("never"):
            action = action.strip("`")
            rights[action] = f"{rights.get(action, '')} {why}"
    return rights
