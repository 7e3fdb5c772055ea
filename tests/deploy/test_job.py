"""How a job without an image of its own comes to its program: the template's own script, by a shell and curl."""

import http.server
import json
import subprocess
import threading

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from template import load

SCRIPT = load()["Resources"]["JobDefinition"]["Properties"]["ContainerProperties"]["Command"]["Fn::If"][2]
# As the container's agent answers (Amazon ECS, "Task IAM role"); a token has such characters, and is long.
GIVEN = {
    "AccessKeyId": "ASIAJOB",
    "SecretAccessKey": "wJalr/XUt+nFEMI=",
    "Token": "IQoJ/+=" * 200,
    "Expiration": "2026-11-26T20:00:00Z",
    "RoleArn": "arn:aws:iam::1:role/job",
}
PROGRAM = b"#!/bin/sh\necho \"ran as: $*\"\n"
KEY = "/code/two-buckets/0123abcd/job"


class Host(http.server.BaseHTTPRequestHandler):
    """The agent and S3 in one, which lets in only what is signed with the job's credentials for this very request."""

    answers_given = json.dumps(GIVEN).encode()

    def do_GET(self):
        if self.path == "/v2/credentials/1":
            return self.answer(200, self.answers_given)
        if self.path == KEY and self.is_signed():
            return self.answer(200, PROGRAM)
        self.answer(403, b"")

    def is_signed(self):
        """Whether botocore, which S3 takes the signatures of, signs the same headers with the same result."""
        _, _, fields = self.headers.get("authorization", "").partition(" ")
        given = dict(field.strip().split("=", 1) for field in fields.split(",") if "=" in field)
        names = given.get("SignedHeaders", "").split(";")
        if not {"host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"} <= set(names):
            return False
        request = botocore.awsrequest.AWSRequest("GET", f"http://{self.headers['host']}{self.path}", headers={name: self.headers[name] for name in names})
        request.context["timestamp"] = self.headers["x-amz-date"]
        signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(GIVEN["AccessKeyId"], GIVEN["SecretAccessKey"]), "s3", "eu-west-1")
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return (given["Credential"], given["Signature"], self.headers["x-amz-security-token"]) == (signer.scope(request), signature, GIVEN["Token"])

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def host():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(host, folder, code="two-buckets/0123abcd"):
    program, flags, script = SCRIPT
    script = script["Fn::Sub"]
    told = {"AWS::Region": "eu-west-1", "AWS::URLSuffix": "amazonaws.com", "CodeBucket": "code", "CodePrefix": code}
    for name, value in told.items():
        script = script.replace(f"${{{name}}}", value)
    assert "${" not in script
    for elsewhere in ("http://169.254.170.2", "https://s3.eu-west-1.amazonaws.com"):
        assert script.count(elsewhere) == 1
        script = script.replace(elsewhere, host)
    script = script.replace("/tmp/two-buckets", f"{folder}/two-buckets").replace("--retry 5", "--retry 0")
    environment = {"PATH": "/usr/bin:/bin", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1", "no_proxy": "127.0.0.1"}
    return subprocess.run([program, flags, script], env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_job_fetches_the_program_with_its_own_credentials_and_runs_it(host, tmp_path):
    ran = run(host, tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "ran as: job\n"), ran.stderr
    assert GIVEN["SecretAccessKey"] not in ran.stderr + ran.stdout


def test_the_agents_answer_may_be_written_in_lines(host, tmp_path, monkeypatch):
    monkeypatch.setattr(Host, "answers_given", json.dumps(GIVEN, indent=2).encode())
    assert run(host, tmp_path).stdout == "ran as: job\n"


def test_a_job_that_gets_no_program_fails_and_runs_nothing(host, tmp_path):
    ran = run(host, tmp_path, code="two-buckets/another")
    assert ran.returncode != 0
    assert ran.stdout == ""
    assert "403" in ran.stderr


def test_a_program_is_not_given_to_other_credentials(host, tmp_path, monkeypatch):
    monkeypatch.setattr(Host, "answers_given", json.dumps(GIVEN | {"SecretAccessKey": "another"}).encode())
    assert run(host, tmp_path).returncode != 0
