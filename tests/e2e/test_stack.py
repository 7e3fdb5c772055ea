"""The command line on AWS: every command by the name of a stack, the doctor, and the container of a job."""

import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.content import MIB, some_bytes
from harness.deployment import INCOMING, KEPT, TABLE, deployed
from harness.rights import Calls, assert_rights_are_those
from harness.server import ROOT
from harness.waiting import until

NAME = "files"
# More than goes in one piece, and no multiple of a part.
LARGE = os.urandom(1 << 20) * 17 + b"end"
FIXED = 'if [ -e "$FIXED" ]; then cat >/dev/null; else echo no good >&2; exit 65; fi'
SCRIPT = f'case "$TWO_BUCKETS_KEY" in bad/*) {FIXED};; *) cat >/dev/null; echo seen >&2;; esac'


def template(outputs):
    """What CloudFormation is told of a deployment: outputs of these values, and two queues for what died."""
    dead = {name: {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}} for name in ("died", "swept")}
    own = {"DeadLettersUrl": {"Ref": "died"}, "ScheduleDeadLettersUrl": {"Ref": "swept"}}
    said = {name: {"Value": value} for name, value in (outputs | own).items()}
    shards = {"LedgerShards": {"Type": "String", "Default": "2"}}
    return json.dumps({"Parameters": shards, "Resources": dead, "Outputs": said})


@pytest.fixture
def deployment(make_server, tmp_path):
    with deployed(make_server, tmp_path) as deployment:
        deployment.outputs = {
            "StagingBucket": INCOMING,
            "ArchiveBucket": KEPT,
            "LedgerTable": TABLE,
            "QueueUrl": deployment.queue_url,
        }
        deployment.cloudformation.create_stack(StackName=NAME, TemplateBody=template(deployment.outputs))
        yield deployment


def well(done):
    assert done.returncode == 0, f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert ROOT.secret_access_key not in done.stdout + done.stderr
    return done.stdout


def told(deployment, *words, **variables):
    """What a command tells programs."""
    return json.loads(well(deployment.run(*words, "--stack", NAME, "--json", **variables)))


def states(deployment):
    return {upload["key"]: upload["state"] for upload in told(deployment, "status")["uploads"]}


def put(deployment, *words):
    """Uploads; what it printed for each file, by the file's name."""
    lines = well(deployment.run("put", *words, "--stack", NAME, "--json")).splitlines()
    return {done["file"]: done for done in map(json.loads, lines)}


def is_quiet(deployment):
    """Whether nothing is in the queue, and nobody works on something that was."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    asked = deployment.sqs.get_queue_attributes(QueueUrl=deployment.queue_url, AttributeNames=names)
    return all(asked["Attributes"][name] == "0" for name in names)


def test_every_command_does_on_a_stack_what_it_does_on_a_server(deployment, tmp_path):
    deployment.ask_for_events()
    small, large, fixed = tmp_path / "small.txt", tmp_path / "large.bin", tmp_path / "fixed"
    small.write_bytes(b"small")
    large.write_bytes(LARGE)
    # Nothing works yet, so what is sent waits.
    sent = put(deployment, small, large, "--prefix", "in/")
    assert {done["state"] for done in sent.values()} == {"accepted"}
    minted = put(deployment, small)[str(small)]["key"]
    assert minted.endswith("/small.txt") and minted != "in/small.txt"
    assert put(deployment, small, "--key", "bad/1")[str(small)]["key"] == "bad/1"
    shown = told(deployment, "status")
    assert shown["counts"]["pending"] == 4 and shown["oldest_unfinished"] and shown["paused"] is None

    words = ("work", "--stack", NAME, "--shell", "--command", SCRIPT, "--log-format", "json")
    nothing = {name: "" for name in deployment.variables if name.startswith("TWO_BUCKETS_")}
    told_of_worker = nothing | {
        "TWO_BUCKETS_DATA": str(tmp_path / "worker"),
        "TWO_BUCKETS_COMMAND_ENV": f"FIXED={fixed}",
    }
    worker = deployment.launch(*words, **told_of_worker)
    try:
        good = {"in/small.txt": "archived", "in/large.bin": "archived", minted: "archived"}
        until("all have ended", lambda: states(deployment) == good | {"bad/1": "failed"})
        assert deployment.s3.get_object(Bucket=KEPT, Key="in/large.bin")["Body"].read() == LARGE
        assert "seen" in well(deployment.run("logs", "in/small.txt", "--stack", NAME))
        one = well(deployment.run("status", "bad/1", "--stack", NAME))
        assert "no good" in one and "failed" in one

        fixed.touch()
        assert told(deployment, "retry", "--all", "--dry-run")["matched"] == 1
        assert told(deployment, "retry", "--all")["retried"] == 1
        until("it is archived after all", lambda: states(deployment)["bad/1"] == "archived")

        paused = told(deployment, "pause", "--reason", "a look")
        assert paused["paused"]["reason"] == "a look"
        # A worker hears of a pause within two seconds: what came before is archived, what comes after waits.
        numbers = iter(range(1000))

        def waits():
            key = f"during/{next(numbers)}"
            put(deployment, small, "--key", key)
            until("its wake-up is done with", lambda: is_quiet(deployment))
            return states(deployment)[key] == "pending" and key

        waiting = until("one waits", waits)
        assert "a look" in well(deployment.run("status", "--stack", NAME))
        assert told(deployment, "resume")["paused"] is None
        until("it goes on", lambda: states(deployment)[waiting] == "archived")

        assert told(deployment, "replay", "in/", "--dry-run")["matched"] == 2
        replayed = told(deployment, "replay", "in/")
        assert (replayed["replayed"], replayed["has_more"]) == (2, False)
        twice = sorted(["in/small.txt", "in/large.bin"] * 2)

        def in_archive():
            return [key for key in deployment.versions(KEPT) if key.startswith("in/")]

        until("both are archived again", lambda: in_archive() == twice)

        deployment.s3.put_bucket_notification_configuration(Bucket=INCOMING, NotificationConfiguration={})
        deployment.put("unheard")
        swept = told(deployment, "sweep")
        assert swept["listed"] >= 1 and swept["woken"] >= 1
        until("the sweep had it processed", lambda: states(deployment).get("unheard") == "archived")

        waited = put(deployment, small, "--key", "bad/2", "--retry-for", "5")
        assert waited[str(small)]["version_id"]
        told(deployment, "sweep")
        until("all is done", lambda: deployment.versions(INCOMING) == [])
        checks = {check["name"]: check for check in told(deployment, "doctor")["checks"]}
        assert {check["verdict"] for check in checks.values()} == {"ok"}, checks
        wanted = {"stack", "identity", "clock", "ledger", "queue", "dead letters", "lost sweeps", "conditional copy"}
        assert wanted | {"staging bucket", "archive bucket", "processing", "unfinished"} <= set(checks)
        assert not [key for key in deployment.versions(KEPT) if key.startswith("_results/two-buckets-probe")]
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0, deployment.said("stderr")
    finally:
        worker.kill()
        worker.wait()


def test_parts_are_found_or_it_is_said_in_one_sentence_why_not(deployment):
    def refused(code, *words, **variables):
        done = deployment.run("status", *words, **variables)
        assert (done.returncode, done.stdout) == (code, ""), done
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    assert "no stack nowhere" in refused(2, "--stack", "nowhere")
    without = {name: value for name, value in deployment.outputs.items() if name != "QueueUrl"}
    half = json.loads(template(without))
    half["Resources"] = {"other": {"Type": "AWS::SQS::Queue"}}
    half["Outputs"] = {name: {"Value": value} for name, value in without.items()}
    deployment.cloudformation.create_stack(StackName="half", TemplateBody=json.dumps(half))
    said = refused(2, "--stack", "half")
    assert "half" in said and "QueueUrl" in said and "LedgerTable" not in said
    # The missing part may be named, and so may all of them, for which nobody is asked.
    well(deployment.run("status", "--stack", "half", "--queue-url", deployment.queue_url))
    one_by_one = ("--staging", INCOMING, "--archive", KEPT, "--ledger-table", TABLE)
    one_by_one += ("--queue-url", deployment.queue_url)
    nobody = {"AWS_ENDPOINT_URL_CLOUDFORMATION": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    well(deployment.run("status", *one_by_one, **nobody))
    assert "files" in refused(1, "--stack", NAME, **nobody)
    # By the environment, and by a configuration file.
    well(deployment.run("status", TWO_BUCKETS_STACK=NAME))
    config = deployment.folder / "operator.toml"
    config.write_text(f'stack = "{NAME}"\n')
    well(deployment.run("status", "--config", config))
    assert "no AWS region" in refused(2, "--stack", NAME, AWS_REGION=None, AWS_CONFIG_FILE="/dev/null")
    nobody = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
    nobody |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    assert "credentials" in refused(2, *one_by_one, **nobody)


class LateClock(BaseHTTPRequestHandler):
    """Says who asks, as STS does, and that it is a minute earlier than it is."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        who = "<Arn>arn:aws:iam::1:user/o</Arn><UserId>U</UserId><Account>1</Account>"
        result = f"<GetCallerIdentityResult>{who}</GetCallerIdentityResult>"
        body = f'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{result}'
        body = f"{body}</GetCallerIdentityResponse>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp=None):
        return super().date_time_string((timestamp or time.time()) - 60)

    def log_message(self, *_):
        pass


def test_the_doctor_says_what_is_wrong_and_what_to_do(deployment):
    def wrong(*words, **variables):
        done = deployment.run("doctor", "--stack", NAME, "--no-probe", "--json", *words, **variables)
        assert done.returncode == 1, done
        checks = json.loads(done.stdout)["checks"]
        found = {check["name"]: check for check in checks if check["verdict"] == "wrong"}
        assert all(check["do"] for check in found.values())
        return found

    suspended = {"Status": "Suspended"}
    deployment.s3.put_bucket_versioning(Bucket=KEPT, VersioningConfiguration=suspended)
    died = deployment.sqs.get_queue_url(QueueName="died")["QueueUrl"]
    deployment.sqs.send_message(QueueUrl=died, MessageBody="{}")
    found = wrong()
    assert set(found) == {"archive bucket", "dead letters"}, found
    assert f"put-bucket-versioning --bucket {KEPT}" in found["archive bucket"]["do"]
    assert "1 message" in found["dead letters"]["found"]
    elsewhere = wrong("--ledger-table", "nowhere", "--queue-url", deployment.queue_url + "-not", "--staging", "nobodys")
    assert {"ledger", "queue", "staging bucket"} <= set(elsewhere), elsewhere

    sts = ThreadingHTTPServer(("127.0.0.1", 0), LateClock)
    threading.Thread(target=sts.serve_forever, daemon=True).start()
    try:
        found = wrong(AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{sts.server_port}")
    finally:
        sts.shutdown()
        sts.server_close()
    assert "ahead" in found["clock"]["found"] and "NTP" in found["clock"]["do"]
    # For people the same stands in lines.
    done = deployment.run("doctor", "--stack", NAME, "--no-probe")
    assert done.returncode == 1 and "wrong   archive bucket" in done.stdout
    assert "identity" in done.stdout and "2 things are wrong" in done.stderr


def test_the_doctor_says_what_is_promised_where_copies_have_no_condition(deployment):
    def conditional_copy(**variables):
        [check] = [check for check in told(deployment, "doctor", **variables)["checks"] if check["name"] == "conditional copy"]
        return check

    assert conditional_copy()["verdict"] == "ok"
    without = conditional_copy(TWO_BUCKETS_CONDITIONAL_COPY="false")
    assert without["verdict"] == "look"
    assert "it is not used" in without["found"] and "is overwritten as the current version" in without["found"]
    assert "--conditional-copy false" in without["do"]


def of_batch(deployment, key, version):
    """What Batch tells a container beside what the stack tells it, and gives it."""
    return deployment.as_role("JobRole") | {
        "TWO_BUCKETS_JOB_KEY_HEX": key.encode().hex(),
        "TWO_BUCKETS_JOB_VERSION": version,
        "AWS_BATCH_JOB_ID": "5f7a9b6e-0000-4000-8000-000000000001",
    }


def left_to_jobs(deployment, *keys):
    """Has a worker leave these files to jobs. There is no such queue, so that nobody starts one."""
    worker = deployment.launch("work", "--job-from-bytes", "1", "--job-queue", "none", "--job-definition", "none:1")

    def are_jobs():
        return {upload["key"] for upload in told(deployment, "status")["uploads"] if upload["job"]} == set(keys)

    try:
        until("they are jobs'", are_jobs)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0, deployment.said("stderr")
    finally:
        worker.kill()
        worker.wait()


def test_a_container_of_batch_does_the_job_of_one_file(deployment, tmp_path):
    deployment.ask_for_events()
    key = "big é/1"
    version = deployment.s3.put_object(Bucket=INCOMING, Key=key, Body=b"big")["VersionId"]
    left_to_jobs(deployment, key)
    container = of_batch(deployment, key, version)

    def job(*words, **variables):
        """What a container came to, and what it said."""
        done = deployment.launch("job", *words, **container | variables)
        return done.wait(timeout=120), deployment.said("stderr")

    told(deployment, "pause")
    code, said = job()
    assert code == 0 and "paused" in said
    told(deployment, "resume")

    held = deployment.launch("job", "--command", "sleep 1000", **container)
    try:
        until("it is at work", lambda: states(deployment)[key] == "processing")
        # Another container of the same file has nothing to do.
        assert deployment.run("job", **deployment.variables | container).returncode == 0
        held.send_signal(signal.SIGTERM)
        assert held.wait(timeout=60) == 0, deployment.said("stderr")
    finally:
        held.kill()
        held.wait()
    one = well(deployment.run("status", key, "--stack", NAME))
    assert "told to stop" in one and "pending (job)" in one

    # Not before its wait is over; until then a container has nothing to do.
    until("it is archived", lambda: job()[0] == 0 and deployment.versions(KEPT) == [key])
    assert deployment.figures()["ArchivedUploads"] == 1
    assert deployment.versions(INCOMING) == [] and states(deployment)[key] == "archived"
    # A container that comes late has nothing to do; one of a file that nobody knows says so.
    assert job()[0] == 0
    code, said = job(TWO_BUCKETS_JOB_VERSION="never")
    assert code == 1 and "knows no upload" in said
    code, said = job(TWO_BUCKETS_JOB_KEY_HEX="")
    assert code == 2 and "TWO_BUCKETS_JOB_KEY_HEX" in said


# What only trouble calls.
JOB_IN_TROUBLE = {
    "AbortMultipartUpload": "a copy in parts that failed",
    "Invoke": "the user's function, which this test has not",
    "AssumeRole": "the same",
}


def test_a_container_calls_what_its_role_may_and_its_role_may_no_more(deployment):
    deployment.ask_for_events()
    bodies = {"small": b"small", "in parts": some_bytes(12 * MIB, "in parts"), "bad": b"bad"}
    sent = {
        key: deployment.s3.put_object(Bucket=INCOMING, Key=key, Body=body, Tagging="kind=job")["VersionId"]
        for key, body in bodies.items()
    }
    left_to_jobs(deployment, *bodies)
    calls = Calls(deployment)
    for key, version in sent.items():
        container = of_batch(deployment, key, version) | {"TWO_BUCKETS_SINGLE_COPY_BYTES_MAX": str(5 * MIB)}
        with calls.recorded():
            done = deployment.launch("job", "--shell", "--command", SCRIPT.replace("bad/*", "bad"), **container)
            assert done.wait(timeout=120) == 0, deployment.said("stderr")
    assert states(deployment) == {"small": "archived", "in parts": "archived", "bad": "failed"}
    assert deployment.s3.get_object_tagging(Bucket=KEPT, Key="in parts")["TagSet"] == [{"Key": "kind", "Value": "job"}]
    assert calls.seen >= {"CopyObject", "UploadPartCopy", "GetObjectTagging"}, calls.seen
    assert_rights_are_those("JobRole", calls.seen, JOB_IN_TROUBLE)
