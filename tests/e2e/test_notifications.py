"""Bucket notifications: what a bucket's configuration asks for gets to a webhook or a queue, whatever happens meanwhile."""

import json
import re
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from harness import moto
from harness.hooks import Hook, is_from
from harness.keys import REGION
from harness.waiting import until, until_quiet

DOCS = Path(__file__).parents[2] / "docs" / "notifications.md"
ARN = "arn:aws:sqs:us-east-1:000000000000:orders"
SECRET = "a secret of the hook"


@pytest.fixture
def hook():
    """Makes receivers, and closes them."""
    made = []

    def make(*answer):
        made.append(Hook(*answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def notifying(make_server, tmp_path):
    """Starts servers with one target, `orders`, that is a webhook unless the lines say otherwise."""

    def make(url, *lines, flags=(), variables=None):
        file = tmp_path / "config.toml"
        kind = () if any(line.startswith("kind") for line in lines) else ('kind = "webhook"',)
        file.write_text("\n".join(["[notifications.orders]", f'url = "{url}"', *kind, *lines]))
        return make_server("--config", file, *flags, variables=variables)

    return make


def ask_for(s3, bucket, *events, arn=ARN, **filters):
    """Asks for events of a bucket without a test event."""
    rules = [{"Name": name, "Value": value} for name, value in filters.items()]
    queue = {"QueueArn": arn, "Events": list(events), "Filter": {"Key": {"FilterRules": rules}}}
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={"QueueConfigurations": [queue]},
        SkipDestinationValidation=True,
    )


def plain_bucket(server, name="plain"):
    server.s3().create_bucket(Bucket=name)
    return name


def target(server):
    [only] = server.api.get("/api/notifications")["targets"]
    return only


def key_of(record):
    return urllib.parse.unquote_plus(record["s3"]["object"]["key"])


def test_the_pipelines_own_moves_are_told_of_and_none_before_its_object_can_be_read(hook, notifying):
    seen = []

    def look(_, message):
        # Asked while the server waits for our answer: the object is there, or it was told of too early.
        for record in message["Records"]:
            if record["eventName"].startswith("ObjectCreated"):
                version = {"VersionId": record["s3"]["object"]["versionId"]}
                where = {"Bucket": record["s3"]["bucket"]["name"], "Key": key_of(record)}
                seen.append(server.s3().head_object(**where, **version)["ContentLength"])
        return 204

    receiver = hook(look)
    server = notifying(receiver.url)
    ask_for(server.s3(), server.archive, "s3:ObjectCreated:*", prefix="in/")
    ask_for(server.s3(), server.staging, "s3:ObjectRemoved:*")
    server.s3().put_object(Bucket=server.staging, Key="in/a file+é.txt", Body=b"bytes")
    until_quiet(server)
    until("both were told of", lambda: len(receiver.records()) >= 2)
    by_name = {record["eventName"]: record for record in receiver.records()}
    made, gone = by_name["ObjectCreated:Copy"], by_name["ObjectRemoved:Delete"]
    assert made["s3"]["bucket"] == {
        "name": server.archive,
        "ownerIdentity": {"principalId": "000000000000"},
        "arn": f"arn:aws:s3:::{server.archive}",
    }
    assert made["s3"]["object"]["key"] == "in/a+file%2B%C3%A9.txt"
    assert made["s3"]["object"]["size"] == 5
    assert made["userIdentity"]["principalId"] == "two-buckets"
    assert gone["s3"]["bucket"]["name"] == server.staging
    assert seen == [5]


def test_a_receiver_that_hangs_breaks_off_and_fails_gets_everything_in_the_end(hook, notifying):
    def answer(attempt, _):
        if attempt == 1:
            time.sleep(2)  # Longer than it is waited for.
            return 204
        return {2: None, 3: 500, 4: (429, {"retry-after": "1"}), 5: (503, {"retry-after": "0"})}.get(attempt, 200)

    receiver = hook(answer)
    server = notifying(receiver.url, "timeout_s = 1", "concurrency = 1")
    bucket = plain_bucket(server)
    ask_for(server.s3(), bucket, "s3:ObjectCreated:*")
    keys = {f"{n}" for n in range(20)}
    for key in keys:
        server.s3().put_object(Bucket=bucket, Key=key, Body=b"x")
    until("all have arrived", lambda: {key_of(record) for record in receiver.records()} == keys)
    until("nothing waits", lambda: target(server)["undelivered"] == 0 and not target(server)["failing"])
    assert "retry" not in target(server)["last_error"]


def test_no_event_is_lost_when_the_server_is_killed_again_and_again(hook, notifying):
    refusing = threading.Event()
    refusing.set()
    receiver = hook(lambda attempt, _: 500 if refusing.is_set() or attempt % 3 == 0 else 200)
    server = notifying(receiver.url)
    bucket = plain_bucket(server)
    ask_for(server.s3(), bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    acknowledged = []

    def put(n):
        try:
            server.s3(retries={"total_max_attempts": 1}).put_object(Bucket=bucket, Key=f"{n:03}", Body=b"x")
            acknowledged.append(f"{n:03}")
        except Exception:
            # It was killed on the way: then nothing was promised.
            pass

    for round in range(3):
        with ThreadPoolExecutor(8) as pool:
            done = [pool.submit(put, 100 * round + n) for n in range(40)]
            until("some were acknowledged", lambda: len(acknowledged) > 40 * round + 10 or all(d.done() for d in done))
            server.kill()
        if round == 1:
            refusing.clear()
        server.start()
    assert len(acknowledged) > 20
    until(
        "every acknowledged upload was told of",
        lambda: set(acknowledged) <= {key_of(record) for record in receiver.records()},
    )
    until("nothing waits", lambda: target(server)["undelivered"] == 0)
    there = {it["Key"] for it in server.s3().list_objects_v2(Bucket=bucket)["Contents"]}
    assert {key_of(record) for record in receiver.records()} == there


def test_a_repeat_has_the_same_sequencer_and_later_events_of_a_key_have_higher_ones(hook, notifying):
    receiver = hook(lambda attempt, _: 500 if attempt == 1 else 200)
    server = notifying(receiver.url)
    bucket = plain_bucket(server)
    ask_for(server.s3(), bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    for body in (b"1", b"22", b"333"):
        server.s3().put_object(Bucket=bucket, Key="k", Body=body)
    server.s3().delete_object(Bucket=bucket, Key="k")
    until("all have arrived", lambda: len(receiver.records()) >= 4)
    in_order = sorted(receiver.records(), key=lambda record: record["s3"]["object"]["sequencer"])
    assert [record["s3"]["object"].get("size") for record in in_order] == [1, 2, 3, None]
    bodies = [json.loads(body)["Records"][0]["s3"]["object"] for _, _, body in receiver.requests]
    first = [body["sequencer"] for body in bodies if body.get("size") == 1]
    assert len(first) >= 2 and len(set(first)) == 1


def test_one_event_that_is_refused_holds_up_no_other_and_is_kept(hook, notifying):
    receiver = hook(lambda _, message: 400 if "poison" in json.dumps(message) else 200)
    server = notifying(receiver.url)
    bucket = plain_bucket(server)
    ask_for(server.s3(), bucket, "s3:ObjectCreated:*")
    for key in ("poison", "a", "b"):
        server.s3().put_object(Bucket=bucket, Key=key, Body=b"x")
    until("the others have arrived", lambda: {key_of(record) for record in receiver.records()} == {"a", "b"})
    until("why is told", lambda: target(server).get("last_error") == "answered 400: no, thank you")
    until("one waits", lambda: target(server)["undelivered"] == 1)
    assert target(server)["oldest_at"].startswith("20")


def test_a_targets_trouble_is_readable_in_status_and_log_and_secrets_and_paths_are_in_neither(notifying, tmp_path):
    (tmp_path / "bearer").write_text("hush-bearer\n")
    # Nobody listens on port 1.
    server = notifying("http://127.0.0.1:1/hush-path?token=hush-query", 'bearer_file = "bearer"', "events_max = 2")
    bucket = plain_bucket(server)
    ask_for(server.s3(), bucket, "s3:ObjectCreated:*")
    for n in range(5):
        server.s3().put_object(Bucket=bucket, Key=f"{n}", Body=b"x")
    until("it fails", lambda: target(server)["failing"])
    now = target(server)
    assert (now["undelivered"], now["lost"]) == (2, 3)
    assert "refused" in now["last_error"].lower()
    said = server.run("status").stdout
    assert "notifications to orders: 2 events undelivered" in said
    assert "EVENTS LOST: 3 since" in said
    assert json.loads(server.run("status", "--json").stdout)["notifications"][0]["lost"] == 3
    log = server.log.read_text()
    assert "events for notification target orders are not accepted" in log
    assert "EVENTS ARE LOST" in log
    for text in (log, said, json.dumps(now)):
        assert "hush" not in text
    # What was lost is still said after a restart.
    server.kill()
    server.start()
    assert target(server)["lost"] == 3


def test_what_names_no_target_and_what_is_not_supported_is_refused_and_what_was_put_is_got(hook, notifying):
    receiver = hook()
    server = notifying(receiver.url)
    s3, bucket = server.s3(), plain_bucket(server)

    def refused(configuration):
        with pytest.raises(ClientError) as caught:
            s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
        return caught.value.response["Error"]

    unknown = refused({"QueueConfigurations": [{"QueueArn": ARN + "x", "Events": ["s3:ObjectCreated:*"]}]})
    assert unknown["Code"] == "InvalidArgument"
    assert "Unable to validate the following destination configurations" in unknown["Message"]
    topic = {"TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Events": ["s3:ObjectCreated:*"]}
    assert refused({"TopicConfigurations": [topic]})["Code"] == "NotImplemented"
    assert refused({"EventBridgeConfiguration": {}})["Code"] == "NotImplemented"
    rules = [{"Name": "Prefix", "Value": "in/"}, {"Name": "Suffix", "Value": ".csv"}]
    queue = {
        "Id": "mine",
        "QueueArn": "arn:minio:sqs::orders:webhook",
        "Events": ["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"],
        "Filter": {"Key": {"FilterRules": rules}},
    }
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [queue]}
    )
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"] == [queue]
    until("the test event came", lambda: receiver.accepted)
    assert (receiver.accepted[0]["Event"], receiver.accepted[0]["Bucket"]) == ("s3:TestEvent", bucket)


def test_the_documented_recipe_knows_our_messages_from_others(hook, notifying, tmp_path):
    [recipe] = re.findall(r"^```python\n(.*?def is_from.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    documented = {}
    exec(recipe, documented)
    (tmp_path / "hook.secret").write_text(SECRET + "\n")
    receiver = hook()
    server = notifying(receiver.url + "/files", 'secret_file = "hook.secret"')
    bucket = plain_bucket(server)
    ask_for(server.s3(), bucket, "s3:ObjectCreated:*")
    server.s3().put_object(Bucket=bucket, Key="a", Body=b"x")
    until("it came", lambda: receiver.accepted)
    [(path, headers, body)] = receiver.requests
    assert path == "/files"
    signature = {name.lower(): value for name, value in headers.items()}["x-two-buckets-signature"]
    for check in (is_from, documented["is_from"]):
        assert check(SECRET.encode(), signature, body)
        assert not check(SECRET.encode(), signature, body + b" ")
        assert not check(b"another secret", signature, body)
        assert not check(SECRET.encode(), signature, body, now=time.time() + 3600)


@pytest.fixture
def sqs(tmp_path):
    """An SQS of moto's."""
    with moto.serving(tmp_path / "moto.log") as url:
        keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "hush-secret"}
        yield boto3.client("sqs", endpoint_url=url, region_name=REGION, **keys), url


def test_events_get_to_a_queue_and_a_queue_that_is_not_there_yet_is_waited_for(sqs, notifying):
    client, url = sqs
    variables = {
        "TWO_BUCKETS_NOTIFICATIONS_ORDERS_ACCESS_KEY_ID": "AKID",
        "TWO_BUCKETS_NOTIFICATIONS_ORDERS_SECRET_ACCESS_KEY": "hush-secret",
    }
    server = notifying(f"{url}/123456789012/orders", 'kind = "sqs"', variables=variables)
    arn = "arn:aws:sqs:us-east-1:123456789012:orders"
    assert target(server)["arn"] == arn
    bucket = plain_bucket(server)
    ask_for(server.s3(), bucket, "s3:ObjectCreated:*", arn=arn)
    server.s3().put_object(Bucket=bucket, Key="before", Body=b"x")
    until("the missing queue is told of", lambda: "NonExistentQueue" in target(server).get("last_error", ""))
    assert "hush" not in server.log.read_text()
    queue = client.create_queue(QueueName="orders")["QueueUrl"]
    # What was refused comes again by itself within half a minute, and at once when the server is started anew.
    server.kill()
    server.start()
    keys = {"before", "a b+c", "é&<>'\"", "plain/key"}
    for key in keys - {"before"}:
        server.s3().put_object(Bucket=bucket, Key=key, Body=b"x")
    found = {}

    def receive():
        for message in client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            [record] = json.loads(message["Body"])["Records"]
            found[key_of(record)] = record
            client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return set(found) == keys

    until("all have arrived", receive)
    assert all(record["eventName"] == "ObjectCreated:Put" for record in found.values())
    until("nothing waits", lambda: target(server)["undelivered"] == 0)
