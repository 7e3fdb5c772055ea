"""What docs/aws.md says of a ledger that is lost, or restored to an earlier time: no file is, and none is archived
twice. And of a worker that stands still for longer than its lease."""

import contextlib
import json
import signal

import boto3
import pytest

from harness.deployment import INCOMING, KEPT, TABLE, deployed
from harness.keys import REGION
from harness.server import ROOT
from harness.waiting import until

BEFORE = [f"before/{number}" for number in range(8)]
SINCE = [f"since/{number}" for number in range(8)]
BETWEEN = "between"
# Often, for a poll whose worker is gone may take a wake-up with it.
SWEEPS = {"TWO_BUCKETS_SWEEP_INTERVAL_S": "2"}


@pytest.fixture
def deployment(make_server, tmp_path):
    with deployed(make_server, tmp_path) as deployment:
        deployment.ask_for_events()
        yield deployment


class Ledger:
    """The table, as an operator has it in hand."""

    def __init__(self, deployment):
        keys = {"aws_access_key_id": ROOT.access_key_id, "aws_secret_access_key": ROOT.secret_access_key}
        self.client = boto3.client("dynamodb", endpoint_url=deployment.dynamodb_url, region_name=REGION, **keys)

    def items(self):
        pages = self.client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def lose(self):
        for item in self.items():
            self.client.delete_item(TableName=TABLE, Key={name: item[name] for name in ("pk", "sk")})
        assert self.items() == []

    def restore(self, items):
        self.lose()
        for item in items:
            self.client.put_item(TableName=TABLE, Item=item)


@contextlib.contextmanager
def working(deployment, *words, said_in="stderr"):
    """A worker that sweeps often; told to stop at the end, so that it drains, unless it was killed."""
    worker = deployment.launch("work", *words, said_in=said_in, **SWEEPS)
    try:
        yield worker
        if worker.poll() is not None:
            assert worker.returncode == -signal.SIGKILL, deployment.said(said_in)
            return
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0, deployment.said(said_in)
    finally:
        worker.kill()
        worker.wait()


def uploads(deployment):
    answer = deployment.run("status", "--json", "--limit", "1000", **deployment.parts())
    assert answer.returncode == 0, answer.stderr
    return {row["key"]: row for row in json.loads(answer.stdout)["uploads"]}


def in_state(deployment, state):
    return {key for key, row in uploads(deployment).items() if row["state"] == state}


def assert_whole(deployment, wanted):
    """Each is in the archive as often as it says, with its bytes, and nothing waits."""
    assert deployment.versions(INCOMING) == []
    assert deployment.versions(KEPT) == sorted(wanted)
    for key in set(wanted):
        assert deployment.s3.get_object(Bucket=KEPT, Key=key)["Body"].read() == key.encode()


def test_with_the_ledger_lost_every_file_that_waits_is_archived(deployment):
    stays = {"name": "stays", "operation": "DeleteObject", "bucket": INCOMING, "fault": "SlowDown", "probability": 1}
    with working(deployment) as worker:
        deployment.put(*BEFORE)
        until("they are archived", lambda: in_state(deployment, "archived") == set(BEFORE))
        # Whose removal the disaster overtakes: it is archived, and in staging yet.
        deployment.server.api._call("PUT", "/api/faults", {"fault": [stays]})
        deployment.put(BETWEEN)
        until("it is in the archive", lambda: BETWEEN in deployment.versions(KEPT))
        assert BETWEEN in deployment.versions(INCOMING)
        worker.kill()
        worker.wait()
    deployment.put(*SINCE)
    Ledger(deployment).lose()
    deployment.server.api._call("DELETE", "/api/faults", None)
    with working(deployment):
        until("nothing waits", lambda: deployment.versions(INCOMING) == [])
        known = {*SINCE, BETWEEN}
        until("they are recorded", lambda: in_state(deployment, "archived") == known)
    # Nothing says any more that the function has accepted it, so it runs once more.
    assert uploads(deployment)[BETWEEN]["attempts"] == 1
    assert set(uploads(deployment)) == known, "of what was archived before nothing is known any more"
    assert_whole(deployment, [*BEFORE, *SINCE, BETWEEN])


def test_with_the_ledger_of_yesterday_what_is_archived_is_found_and_nothing_is_archived_twice(deployment):
    with working(deployment, "--shell", "--command", "exit 75", "--max-attempts", "50"):
        deployment.put(*BEFORE)
        failing = lambda: {key for key, row in uploads(deployment).items() if row["attempts"] > 0}  # noqa: E731
        until("each failed once", lambda: failing() == set(BEFORE))
    ledger = Ledger(deployment)
    yesterday = ledger.items()
    with working(deployment):
        deployment.put(*SINCE)
        until("all are archived", lambda: in_state(deployment, "archived") == {*BEFORE, *SINCE}, within_s=120)
    ledger.restore(yesterday)
    assert not in_state(deployment, "archived")
    with working(deployment):
        until("they are found in the archive", lambda: in_state(deployment, "archived") == set(BEFORE), within_s=120)
    assert set(uploads(deployment)) == set(BEFORE), "what came since has no row any more"
    assert_whole(deployment, [*BEFORE, *SINCE])


def test_a_worker_that_stands_still_past_its_lease_is_overtaken_and_moves_nothing_when_it_wakes(deployment, tmp_path):
    gate = tmp_path / "gate"
    waiting = 'while [ ! -e "$GATE" ]; do sleep 0.05; done; sha256sum'
    still = deployment.launch("work", "--shell", "--command", waiting, "--command-env", f"GATE={gate}", **SWEEPS)
    try:
        deployment.put("overtaken")
        until("it is in work", lambda: in_state(deployment, "processing") == {"overtaken"})
        still.send_signal(signal.SIGSTOP)
        with working(deployment, said_in="overtaking"):
            # Its lease has to run out by itself: half a minute.
            until("another takes it over", lambda: in_state(deployment, "archived") == {"overtaken"}, within_s=120)
        before = uploads(deployment)
        assert before["overtaken"]["attempts"] == 2
        gate.touch()
        still.send_signal(signal.SIGCONT)
        # It works on, and has told of what it woke with by the time that the next is archived.
        deployment.put("next")
        until("it goes on", lambda: in_state(deployment, "archived") == {"overtaken", "next"}, within_s=60)
        still.send_signal(signal.SIGTERM)
        assert still.wait(timeout=60) == 0, deployment.said("stderr")
    finally:
        still.kill()
        still.wait()
    assert uploads(deployment)["overtaken"] == before["overtaken"], "what had ended stays so"
    assert_whole(deployment, ["overtaken", "next"])
