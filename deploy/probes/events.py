"""Events that come again, and what comes without one."""

import json
import urllib.parse

import botocore.exceptions

from probes.stack import code

AGAIN = "an event that comes again changes nothing"
SWEPT = "the sweep finds what no event tells of"


def check_again(run, rows):
    """Sends the event of an archived file once more. Nothing is received from the queue: that counts towards dead letters."""
    stack, report = run.stack, run.report
    if "QueueUrl" not in stack.outputs:
        return report.skipped(AGAIN, "no queue is known: --queue-url")
    put = next((put for put in run.puts if rows.get(put.version, {}).get("state") == "archived"), None)
    if put is None:
        return report.skipped(AGAIN, "no file was archived")
    before, (token, _) = standing(run, put), stack.ledger().lease(stack.staging, put.key)
    try:
        stack.session.client("sqs").send_message(QueueUrl=stack.outputs["QueueUrl"], MessageBody=event(stack.staging, put))
    except botocore.exceptions.ClientError as error:
        return report.skipped(AGAIN, f"sqs:SendMessage: {code(error)}")
    if not run.until(lambda: is_looked_at(run, put, token)):
        return report.claim(AGAIN, [f"nobody looked at {put.key!r} for it in time"])
    after = standing(run, put)
    return report.claim(AGAIN, [f"{put.key!r} was {before} and is {after}"] if after != before else [])


def event(bucket, put):
    """As S3 writes it (S3 User Guide, "Event message structure")."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": {"key": urllib.parse.quote_plus(put.key), "versionId": put.version}},
    }
    return json.dumps({"Records": [record]})


def is_looked_at(run, put, token):
    """Whether its key was claimed since, which every wake-up does, and let go."""
    last, is_held = run.stack.ledger().lease(run.stack.staging, put.key)
    return last > token and not is_held


def standing(run, put):
    """What is known of a file, and what is kept of it."""
    row = run.stack.row(put) or {}
    versions = [version["VersionId"] for version in run.stack.versions(run.stack.archive, put.key)[0] if version["Key"] == put.key]
    return {name: row.get(name) for name in ("state", "archive_version_id", "attempts_ever")} | {"versions": versions}


def leave_marker(run):
    """Deletes a file by its name: its version is archived all the same, and a delete marker stays, of which nobody is told."""
    put = run.put("deleted by its name", b"deleted by its name")
    try:
        left = run.stack.s3.delete_object(Bucket=run.stack.staging, Key=put.key)
    except botocore.exceptions.ClientError as error:
        run.report.skipped(SWEPT, f"s3:DeleteObject: {code(error)}")
        return
    run.marker = left.get("VersionId")
    if run.marker is None:
        run.report.skipped(SWEPT, "staging keeps no versions")


def check_marker(run, left):
    """Whether it is gone, which only a sweep can have done."""
    if run.marker:
        run.report.claim(SWEPT, (f"a delete marker over nothing is still there: {it['Key']!r}" for it in left if it["VersionId"] == run.marker))
