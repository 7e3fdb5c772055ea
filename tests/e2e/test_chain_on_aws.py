"""A thousand files (`TWO_BUCKETS_CHAIN_FILES` says how many) through the functions of a deployment while everything goes
wrong that may: events are lost, doubled and late, S3 is busy, broken and in conflict, ledger and queue are busy and their
answers get lost, environments are killed in mid-work, and some files are bad. Then every promise is looked at, and again
once the bad ones were retried.

The chain is our own S3 → SQS (moto) → the `processor` function under our own Lambda host → a function in Python →
DynamoDB (moto) → archive, and the `sweep` function on a schedule; the same with `two-buckets work` and a command."""

import contextlib
import json
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest

from harness import moto, relay, user_function
from harness.book import Book, problems
from harness.content import MIB, sha256, some_bytes
from harness.deployment import INCOMING, KEPT, Kept, deployed, event_of
from harness.mapping import Function, Mapping, kill_now_and_then
from harness.programs import function
from harness.rights import Calls, assert_rights_are_those, s3_calls
from harness.user_function import BadFile
from harness.waiting import until

FILES = int(os.environ.get("TWO_BUCKETS_CHAIN_FILES", "1000"))
"""Some under one key several times, some of no bytes, one that is copied in parts."""
SIZES = [0, 1, 100, 4_096, 20_000, 131_073, 400_000]
SEED = "chain on aws"
KILLS_MAX = FILES // 40
"""Each costs the keys in work a lease's life. Without a bound the last files are killed again and again."""
SETTLED_WITHIN_S = 1_800
"""For a run that hangs. Against moto, in Python, it takes seven minutes where nothing else runs."""
IN_PARTS = 12 * MIB
"""With copies of at most 5 MiB at once, the least that S3 takes for a part."""

WEATHER = [
    # Seldom: after each the SDK sends less for a while, as it should.
    {"name": "busy", "operation": "*", "bucket": [INCOMING, KEPT], "fault": "SlowDown", "probability": 0.001},
    {"name": "broken", "operation": "CopyObject", "fault": "InternalError", "took_effect": True, "probability": 0.03},
    {"name": "in a 200", "operation": ["CopyObject", "UploadPartCopy"], "fault": "error-in-200", "probability": 0.03},
    {"name": "in conflict", "operation": "CopyObject", "fault": "ConditionalRequestConflict", "probability": 0.05},
    {"name": "lost", "operation": ["CopyObject", "DeleteObject"], "fault": "cut", "took_effect": True, "probability": 0.03},
    {"name": "cut short", "operation": "GetObject", "bucket": INCOMING, "fault": "cut-answer", "probability": 0.05},
    # Of the one that is copied in parts.
    {"name": "a part", "operation": "UploadPartCopy", "bucket": KEPT, "fault": "InternalError", "nth": 2},
    {"name": "the whole", "operation": "CompleteMultipartUpload", "bucket": KEPT, "fault": "error-in-200", "nth": 1},
]
SEEDED = [rule | {"seed": number} if "probability" in rule else rule for number, rule in enumerate(WEATHER)]

# Workers are killed here, so a report may be lost.
SAYS = {"says_sha256": True, "may_lose_report": True}

# What a worker runs on each file until it is mended, and then.
MENDED = "sha256sum"
REFUSING = f'case "$TWO_BUCKETS_KEY" in bad/*) echo bad >&2; exit 65;; *) {MENDED};; esac'


@pytest.fixture
def deployment(make_server, tmp_path):
    how = {"visibility_timeout_s": 25, "receives_max": 5}
    with deployed(make_server, tmp_path, **how) as deployment:
        deployment.variables |= {
            "TWO_BUCKETS_SINGLE_COPY_BYTES_MAX": str(5 * MIB),
            "TWO_BUCKETS_FUNCTION_LIMIT_S": "10",
            # Killed attempts count; none may fail by them here.
            "TWO_BUCKETS_MAX_ATTEMPTS": "20",
            "TWO_BUCKETS_LOG": "info",
        }
        yield deployment


class Sums:
    """The user's function: gives the digest of what it reads, and refuses what is bad until it is mended."""

    def __init__(self, endpoint):
        self.endpoint, self.is_mended, self.seen = endpoint, False, []

    def __call__(self, event, context):
        at = user_function.version_of(event)
        content = user_function.s3_of(context, self.endpoint).get_object(**at)["Body"].read()
        self.seen.append((at["Key"], at["VersionId"], sha256(content)))
        if is_bad(at["Key"]) and not self.is_mended:
            raise BadFile("bad")
        return {"sha256": sha256(content)}


def is_bad(key):
    return key.startswith("bad/")


class Crowd:
    """Who sends the files, and what becomes of their events."""

    def __init__(self, deployment):
        self.deployment, self.book = deployment, Book()
        self.random = random.Random(SEED)
        self.jobs = [(self.key(number), self.body(number)) for number in range(FILES)]
        self.bad = sorted(key for key, _ in self.jobs if is_bad(key))

    def key(self, number):
        # A fifth of the files are versions of ten keys.
        if number % 5 == 0:
            return f"again/{number // 5 % 10}"
        if number % 20 == 7:
            return f"bad/{number}"
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


def settled(deployment, bad):
    """Nothing is in staging but what is bad, and of that it is said that it failed."""
    try:
        if deployment.versions(INCOMING) != bad:
            return False
    except botocore.exceptions.ClientError:
        # Who looks is in the same weather.
        return False
    said = deployment.run("status", "--json", "--state", "failed", "--limit", "1000", **deployment.parts())
    return said.returncode == 0 and sorted(row["key"] for row in json.loads(said.stdout)["uploads"]) == bad


def bad_weather(deployment):
    deployment.server.api._call("PUT", "/api/faults", {"fault": SEEDED})
    for url in (deployment.dynamodb_url, deployment.sqs_url):
        # Of throttling little: after each the SDK sends less for a while, as it should.
        moto.weather(url, busy=0.003, conflicts=0.03, lost=0.01)


def fair_weather(deployment):
    """From now on. Says what did not strike, which should."""
    rules = deployment.server.api.get("/api/faults")["rules"]
    deployment.server.api._call("DELETE", "/api/faults", None)
    of_queue, of_ledger = moto.weather(deployment.sqs_url), moto.weather(deployment.dynamodb_url)
    idle = [rule["name"] for rule in rules if not rule["struck"]]
    assert len(rules) == len(WEATHER) and not idle, rules
    assert set(of_ledger) == {"busy", "conflict", "lost"} and of_queue, (of_ledger, of_queue)


def assert_promises_kept(deployment, book, may_fail=lambda key: False):
    assert book.acknowledged() == FILES
    there = Kept(deployment)
    found = problems(book, there, may_fail=may_fail, **SAYS)
    assert not found, "\n".join(found[:20])
    silent = [row["key"] for row in there.rows if row["state"] in ("archived", "late") and row["report"] is None]
    assert len(silent) <= FILES / 10, f"more reports are lost than workers were killed for: {silent}"


def assert_mended(deployment, book, mend):
    """What was bad is archived once it is retried, in the same places."""
    mend()
    retried = deployment.run("retry", "--all", "--json", **deployment.parts())
    assert retried.returncode == 0, retried.stderr
    until("all that was bad is archived", lambda: not deployment.versions(INCOMING), within_s=120)
    until("it is recorded", lambda: not problems(book, Kept(deployment), **SAYS))
    assert_promises_kept(deployment, book)


def sweeping(sweep, stop, every_s):
    """The schedule. A sweep that fails is a failure of the schedule's call, and the next one comes all the same."""
    while not stop.wait(every_s):
        sweep.invoke({})


def test_the_functions_keep_every_promise_in_bad_weather(deployment):
    bad_weather(deployment)
    crowd, sums = Crowd(deployment), Sums(deployment.server.endpoint)
    log = deployment.folder / "functions.log"
    stop, stop_killing = threading.Event(), threading.Event()
    with user_function.serving(deployment, sums) as variables, ThreadPoolExecutor(2) as pool:
        processor = Function(function("processor"), variables, log, concurrency=3, timeout_s=20)
        sweep = Function(function("sweep"), deployment.as_role("SweepRole"), deployment.folder / "sweep.log")
        mapping = Mapping(deployment, processor, pollers=3)
        try:
            swept = pool.submit(sweeping, sweep, stop, 15)
            killed = pool.submit(kill_now_and_then, processor, stop_killing, SEED, KILLS_MAX)
            crowd.send_all()
            until("only what is bad is left", lambda: settled(deployment, crowd.bad), within_s=SETTLED_WITHIN_S)
            stop_killing.set()
            fair_weather(deployment)
            assert killed.result() >= min(5, KILLS_MAX) and len(mapping.failures) >= 3, mapping.failures
            assert_promises_kept(deployment, crowd.book, may_fail=is_bad)
            assert_mended(deployment, crowd.book, lambda: setattr(sums, "is_mended", True))
            stop.set()
            swept.result()
        finally:
            stop.set()
            stop_killing.set()
            mapping.close()
            processor.close()
            sweep.close()
    # It ran at least once on each, and was given the bytes of that version whenever it did.
    sent = {(sent.key, sent.version): sent.sha256 for sent in crowd.book.sent}
    assert {(key, version): content for key, version, content in sums.seen} == sent
    assert all(sent[key, version] == content for key, version, content in sums.seen)


def test_a_worker_keeps_every_promise_in_bad_weather(deployment):
    bad_weather(deployment)
    crowd = Crowd(deployment)
    words = ("work", "--workers", "4", "--sweep-interval-s", "15", "--shell", "--command")
    worker = deployment.launch(*words, REFUSING)

    def begun_anew(command):
        worker.kill()
        worker.wait()
        return deployment.launch(*words, command)

    try:
        crowd.send_all()
        # A crash in the middle; whoever comes next takes over once the leases have run out.
        worker = begun_anew(REFUSING)
        until("only what is bad is left", lambda: settled(deployment, crowd.bad), within_s=SETTLED_WITHIN_S)
        fair_weather(deployment)
        assert_promises_kept(deployment, crowd.book, may_fail=is_bad)
        worker = begun_anew(MENDED)
        assert_mended(deployment, crowd.book, lambda: None)
    finally:
        worker.kill()
        worker.wait()


# What the functions call in fair weather for one file whose event came once, at most; pollers and senders not counted.
CALLS_A_FILE = {
    "s3": {"ListObjectVersions": 1, "HeadObject": 4, "GetObject": 1, "CopyObject": 1, "DeleteObject": 1},
    # GetItem: whether it is paused, once for each invocation.
    "dynamodb": {"UpdateItem": 2, "BatchGetItem": 1, "TransactWriteItems": 4, "GetItem": 1},
    "sqs": {},
}
# For one that is copied in parts and has a tag, in place of a copy at once: what goes with it has to be asked for.
CALLS_FOR_PARTS = {"CopyObject": 0, "HeadObject": 5, "CreateMultipartUpload": 1, "UploadPartCopy": 3, "CompleteMultipartUpload": 1, "GetObjectTagging": 1}
# What goes over the wire for one file in both directions, heads included, beside the file itself.
BYTES_A_FILE = {"s3": 13_000, "dynamodb": 21_000, "sqs": 0}

# What only trouble calls, so that fair weather does not show it.
IN_TROUBLE = {
    "AbortMultipartUpload": "a copy in parts that failed",
    "Query": "a version that is gone, and jobs",
    "SendMessage": "a key is put back",
    "Invoke": "the user's function, which this test has not",
    "AssumeRole": "the same",
    "SubmitJob": "jobs, which this test has not",
    "ListJobs": "the same",
}

SWEEP_IN_TROUBLE = {
    "ListMultipartUploads": "an upload that is overdue",
    "HeadObject": "a version that a row has and no list",
    "DeleteItem": "an upload that is given up",
    "UpdateItem": "the lease of a job that died",
    "ConditionCheckItem": "the same",
    "SubmitJob": "jobs, which this test has not",
    "ListJobs": "the same",
    "DescribeJobs": "the same",
}


def test_a_file_costs_no_more_calls_than_it_must_and_no_call_is_without_a_right(deployment):
    keys = [f"plain/{number}" for number in range(50)]
    deployment.put(*keys)
    deployment.s3.put_object(
        Bucket=INCOMING, Key="large", Body=some_bytes(IN_PARTS, SEED), Tagging="kind=large"
    )
    services = ("s3", "dynamodb", "sqs")
    with contextlib.ExitStack() as stack:
        of = {name: f"AWS_ENDPOINT_URL_{name.upper()}" for name in services}
        relays = {name: stack.enter_context(relay.before(deployment.variables[of[name]])) for name in services}
        variables = deployment.as_role("ProcessorRole") | {of[name]: at.url for name, at in relays.items()}
        processor = Function(function("processor"), variables, deployment.folder / "processor.log")
        stack.callback(processor.close)
        calls = Calls(deployment)
        stack.enter_context(calls.recorded())
        # The first asks for what an environment learns once.
        sent = s3_calls(deployment)
        processor.invoke(event_of("large"))
        before = s3_calls(deployment)
        large = {name: count - sent.get(name, 0) for name, count in before.items()}
        calls_of(deployment)
        bytes_before = {name: at.bytes for name, at in relays.items()}
        for key in keys:
            assert processor.invoke(event_of(key))["answer"] == {"keys": 1}
        carried = {name: at.bytes - bytes_before[name] for name, at in relays.items()}
    after = s3_calls(deployment)
    called = {"s3": {name: count - before.get(name, 0) for name, count in after.items()}} | calls_of(deployment)
    assert sorted(deployment.versions(KEPT)) == sorted([*keys, "large"])
    for service, at_most in CALLS_A_FILE.items():
        for operation, counted in called[service].items():
            assert counted <= len(keys) * at_most.get(operation, 0), (service, operation, counted, called)
    in_parts = CALLS_A_FILE["s3"] | CALLS_FOR_PARTS
    for operation, counted in large.items():
        assert counted <= in_parts.get(operation, 0), (operation, large)

    for service, at_most in BYTES_A_FILE.items():
        assert carried[service] <= len(keys) * at_most, (service, carried)
    print("bytes a file:", {name: count / len(keys) for name, count in carried.items()})
    assert carried["s3"] > len(keys) and carried["dynamodb"] > len(keys), "nothing was counted"

    assert calls.seen >= {"UploadPartCopy", "CompleteMultipartUpload", "GetObjectTagging"}, calls.seen
    assert_rights_are_those("ProcessorRole", calls.seen, IN_TROUBLE)


def test_a_sweep_calls_what_its_role_may_and_its_role_may_no_more(deployment):
    deployment.put("waits", "gone")
    deployment.s3.delete_object(Bucket=INCOMING, Key="gone")
    [marker] = deployment.s3.list_object_versions(Bucket=INCOMING)["DeleteMarkers"]
    for version in deployment.s3.list_object_versions(Bucket=INCOMING, Prefix="gone")["Versions"]:
        deployment.s3.delete_object(Bucket=INCOMING, Key="gone", VersionId=version["VersionId"])
    assert marker["Key"] == "gone"
    variables = deployment.as_role("SweepRole")
    calls = Calls(deployment)
    with contextlib.closing(Function(function("sweep"), variables, deployment.folder / "sweep.log")) as sweep:
        with calls.recorded():
            swept = sweep.invoke({})["answer"]
        # S3 holds it to its role; what it may not do it passes over, with a warning.
        assert (swept["woken"], swept["markers_removed"], swept["passed_over"]) == (1, 1, 0), swept
    assert deployment.versions(INCOMING) == ["waits"]
    assert calls.seen >= {"ListObjectVersions", "DeleteObject", "Query", "SendMessage"}, calls.seen
    assert_rights_are_those("SweepRole", calls.seen, SWEEP_IN_TROUBLE)


def calls_of(deployment):
    """What moto was asked since this was asked last, by service."""
    return {"dynamodb": moto.calls(deployment.dynamodb_url), "sqs": moto.calls(deployment.sqs_url)}
