"""The user's own Lambda function runs on each file, unmodified, whatever it is written in."""

import os
import re
import signal
import sys
import zipfile
from pathlib import Path

import pytest

from harness import kept
from harness.content import sha256, some_bytes
from harness.server import Server
from harness.waiting import until

FUNCTIONS = Path(__file__).parent / "functions"
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def serve(make_server):
    """Starts a server with a function of the folder `functions`, run by the Python that runs the tests."""

    def start(name, *flags):
        python = ["--function-python", sys.executable] if str(name).endswith(".py") else []
        return make_server("--function", str(FUNCTIONS / name), *python, *flags)

    return start


@pytest.fixture
def shell_function(tmp_path):
    """A folder with the runtime in plain shell of the README, as it stands there."""
    [script] = re.findall(r"^cat > bootstrap <<'END'\n(.*?)^END$", README.read_text(), re.MULTILINE | re.DOTALL)
    folder = tmp_path / "shell"
    folder.mkdir()
    (folder / "bootstrap").write_text(script)
    (folder / "bootstrap").chmod(0o755)
    return folder


def tell(server, key, words):
    """Puts a file that tells the function what to do."""
    server.s3().put_object(Bucket=server.staging, Key=key, Body=words.encode())


def ended(server, key, within_s=120):
    """Waits until the upload of a key is at its end and returns it, with its report and attempts."""
    [listed] = until(
        f"{key} is at its end",
        lambda: [it for it in server.api.uploads(key=key) if it["state"] in ("archived", "failed")],
        within_s,
    )
    return server.api.upload(listed["id"])


def functions_of(server):
    """The processes of the server's functions, by their temporary folder."""
    mark = f"TMPDIR={server.data.resolve()}/".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(variable.startswith(mark) for variable in variables):
            found.append(process.name)
    return found


def test_the_function_is_told_by_s3s_own_event_and_its_answer_is_the_report(serve):
    server = serve("told.py")
    tell(server, "a folder/ü+1.txt", "echo")
    upload = ended(server, "a folder/ü+1.txt")
    assert upload["state"] == "archived"
    report = upload["report"]
    record = report["record"]
    assert record["eventSource"] == "aws:s3"
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["eventVersion"].startswith("2.")
    assert record["s3"]["bucket"] == {
        "name": "staging",
        "arn": "arn:aws:s3:::staging",
        "ownerIdentity": record["s3"]["bucket"]["ownerIdentity"],
    }
    assert record["s3"]["object"]["key"] == "a+folder/%C3%BC%2B1.txt"
    assert record["s3"]["object"]["size"] == len("echo")
    assert record["s3"]["object"]["versionId"] == upload["version_id"]
    assert record["twoBuckets"]["attempt"] == 1
    assert report["function"] == "told"
    assert report["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:told"
    assert 0 < report["left_ms"] <= 60_000
    kept.archived_bytes_are(server, {"a folder/ü+1.txt": sha256(b"echo")})


def test_a_sequencer_grows_with_the_versions_of_a_key(serve):
    server = serve("told.py")
    found = []
    for number in range(3):
        tell(server, "k", "echo")
        until(
            "it is archived",
            lambda number=number: len(server.api.uploads(key="k", state="archived")) == number + 1,
        )
    for upload in reversed(server.api.uploads(key="k")):
        found.append(server.api.upload(upload["id"])["report"]["record"]["s3"]["object"]["sequencer"])
    assert found == sorted(found) and len(set(found)) == 3


def test_the_function_has_lambdas_variables_and_its_own_and_none_of_the_servers(serve):
    server = serve("told.py", "--function-env", "GREETING=hello, world=1", "--region", "eu-central-1")
    tell(server, "k", "variables")
    report = ended(server, "k")["report"]
    assert report["values"] == {
        "AWS_REGION": "eu-central-1",
        "AWS_LAMBDA_FUNCTION_NAME": "told",
        "ARCHIVE_BUCKET": "archive",
        "STAGING_BUCKET": "staging",
        "GREETING": "hello, world=1",
        "TMPDIR": report["values"]["TMPDIR"],
    }
    for name in ("AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "_HANDLER", "LAMBDA_TASK_ROOT", "AWS_LAMBDA_RUNTIME_API"):
        assert name in report["names"]
    assert not [name for name in report["names"] if name.startswith("TWO_BUCKETS_")]


def test_an_error_is_tried_again_and_then_set_aside_with_its_words(serve):
    server = serve("told.py", "--max-attempts", "2")
    tell(server, "k", "fail")
    upload = ended(server, "k")
    assert upload["state"] == "failed"
    assert "RuntimeError" in upload["reason"] and "told to raise RuntimeError" in upload["reason"]
    assert [attempt["number"] for attempt in upload["attempts_log"]] == [1, 2]


def test_an_error_named_as_permanent_is_not_tried_again(serve):
    server = serve("told.py", "--function-permanent-errors", "ValueError")
    tell(server, "k", "fail ValueError")
    upload = ended(server, "k")
    assert (upload["state"], len(upload["attempts_log"])) == ("failed", 1)


@pytest.mark.parametrize(
    ("words", "reason"),
    [("leave", "exit"), ("hang", "time"), ("eat", "memory")],
    ids=["it exits", "it hangs", "it eats memory"],
)
def test_a_function_that_breaks_its_runtime_harms_no_other_file(serve, words, reason):
    server = serve("told.py", "--max-attempts", "1", "--function-timeout-s", "5", "--function-concurrency", "1")
    tell(server, "bad", words)
    tell(server, "good", "echo")
    assert ended(server, "good")["state"] == "archived"
    bad = ended(server, "bad")
    assert bad["state"] == "failed"
    assert reason in bad["reason"].lower()
    # The environment after it is whole.
    tell(server, "good again", "echo")
    assert ended(server, "good again")["state"] == "archived"


def test_what_a_function_leaves_running_ends_with_its_environment(serve):
    server = serve("told.py")
    tell(server, "k", "children")
    pid = ended(server, "k")["report"]["pid"]
    assert Path(f"/proc/{pid}").exists()
    assert server.stop() == 0
    until("its child has ended", lambda: not Path(f"/proc/{pid}").exists())


def kill_with_what_ends_strays(server):
    """Kills a server, and the process first that waits for its end to end what it leaves."""
    [waits] = [
        int(child)
        for thread in Path(f"/proc/{server.process.pid}/task").iterdir()
        for child in (thread / "children").read_text().split()
        if b"__end-strays" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    os.kill(waits, signal.SIGKILL)
    server.kill()


@pytest.mark.parametrize("name", ["told.py", "index.mjs", "shell"])
def test_a_function_that_waits_when_its_server_is_killed_ends_by_itself(serve, shell_function, name):
    server = serve(shell_function if name == "shell" else name)
    tell(server, "k", "echo")
    ended(server, "k")
    assert functions_of(server)
    kill_with_what_ends_strays(server)
    until("its function has ended", lambda: not functions_of(server))


def hanging(serve):
    """A server with a function that hangs, and its processes."""
    server = serve("told.py", "--function-timeout-s", "600", "--max-attempts", "1")
    tell(server, "k", "hang")
    until("it runs", lambda: server.api.uploads(state="processing"))
    return server, until("its process is there", lambda: functions_of(server))


def test_a_function_that_hangs_when_its_server_is_killed_is_ended(serve):
    server, _ = hanging(serve)
    server.kill()
    until("the stray has ended", lambda: not functions_of(server))


def test_a_stray_that_nobody_ended_ends_when_the_next_server_starts(serve):
    server, strays = hanging(serve)
    kill_with_what_ends_strays(server)
    assert all(Path(f"/proc/{pid}").exists() for pid in strays)
    server.start()
    until("the strays have ended", lambda: not any(Path(f"/proc/{pid}").exists() for pid in strays))


def test_a_function_reaches_its_own_upload_and_nothing_else(serve):
    server = serve("told.py", "--max-attempts", "1")
    s3 = server.s3()
    s3.create_bucket(Bucket="private")
    s3.put_object(Bucket="private", Key="secret", Body=b"secret")
    tell(server, "archived before", "echo")
    ended(server, "archived before")
    # It stays in staging, as the function fails on it.
    tell(server, "another", "fail")
    assert ended(server, "another")["state"] == "failed"
    tell(server, "k", "reach")
    upload = ended(server, "k")
    assert upload["state"] == "archived", upload["reason"]
    assert {name: "done" for name, answer in upload["report"].items() if answer != "AccessDenied"} == {}
    assert s3.get_object(Bucket="private", Key="secret")["Body"].read() == b"secret"
    assert s3.get_object(Bucket=server.archive, Key="made from/k")["Body"].read() == b"made"
    kept.archived_bytes_are(server, {"k": sha256(b"reach")}, prefix="k")


def test_a_function_in_javascript_runs_without_anything_installed_for_it(serve):
    server = serve("index.mjs", "--max-attempts", "1")
    tell(server, "a b", "x")
    tell(server, "throw/it", "x")
    assert ended(server, "a b")["report"]["key"] == "a+b"
    thrown = ended(server, "throw/it")
    assert thrown["state"] == "failed"
    assert "TypeError" in thrown["reason"] and "told to throw" in thrown["reason"]


def test_a_runtime_in_plain_shell_is_a_function(serve, shell_function):
    server = serve(shell_function)
    tell(server, "k", "x")
    assert ended(server, "k")["report"]["heard"] > 100


def test_a_zip_as_one_uploads_it_to_lambda_is_a_function(tmp_path, make_server):
    path = tmp_path / "function.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(FUNCTIONS / "told.py", "lambda_function.py")
    server = make_server(
        "--function", str(path), "--function-handler", "lambda_function.handler", "--function-python", sys.executable
    )
    tell(server, "k", "echo")
    assert ended(server, "k")["state"] == "archived"


def test_of_three_records_of_one_invocation_the_one_that_fails_fails_alone(serve):
    server = serve("told.py", "--function-batch", "3", "--function-concurrency", "1", "--workers", "8", "--max-attempts", "1")
    # While the environment starts, the others gather behind it.
    for key, words in [("first", "echo"), ("a", "echo"), ("b", "fail"), ("c", "echo")]:
        tell(server, key, words)
    states = {key: ended(server, key)["state"] for key in ("first", "a", "b", "c")}
    assert states == {"first": "archived", "a": "archived", "b": "failed", "c": "archived"}


def test_the_tutorials_function_loses_no_version_though_its_keys_are_overwritten_all_the_time(serve):
    """By itself it copies and deletes whatever has the name at that moment."""
    server = serve("tutorial.py", "--function-moves", "--workers", "4")
    s3 = server.s3()
    sent = {}
    for number in range(40):
        for key in ("one", "two", "three"):
            body = some_bytes(3_000, f"{key} {number}")
            version = s3.put_object(Bucket=server.staging, Key=key, Body=body)["VersionId"]
            sent[version] = (key, sha256(body))
    kept.staging_is_empty(server, within_s=300)
    uploads = [upload for key in ("one", "two", "three") for upload in server.api.uploads(key=key)]
    assert {upload["version_id"]: upload["state"] for upload in uploads} == dict.fromkeys(sent, "archived")
    for key in ("one", "two", "three"):
        wanted = [digest for of, digest in sent.values() if of == key]
        ids = [version for found, version in kept.versions(s3, server.archive, key, kinds=["Versions"]) if found == key]
        found = [kept.sha256_in(s3, server.archive, key, version) for version in reversed(ids)]
        assert found == wanted


def test_a_function_that_always_moves_its_file_and_did_not_has_failed(make_server, tmp_path):
    code = tmp_path / "swallows.py"
    code.write_text("def handler(event, context):\n    print('went wrong, and nobody hears of it')\n")
    server = make_server(
        "--function", str(code), "--function-python", sys.executable, "--function-moves", "--max-attempts", "1"
    )
    tell(server, "k", "x")
    upload = ended(server, "k")
    assert upload["state"] == "failed"
    assert "did not move" in upload["reason"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--function", "no-such.py"], "no-such.py"),
        (["--function-batch", "3"], "--function names none"),
        (["--function", "{functions}/.."], "--function-handler"),
        (["--function", "{functions}/told.py", "--function-python", "/nowhere/python"], "/nowhere/python"),
        (["--function", "{functions}/told.py", "--function-env", "AWS_REGION=x"], "AWS_REGION"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, list) else "",
)
def test_a_function_that_cannot_run_is_said_at_the_start(tmp_path, flags, words):
    server = Server(tmp_path)
    command = ["serve", "--s3", "127.0.0.1:0", "--web", "127.0.0.1:0"]
    flags = [flag.replace("{functions}", str(FUNCTIONS)) for flag in flags]
    done = server.run(*command, *flags, check=False)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.py", "import no_such_library\n\ndef handler(event, context): pass\n", "no_such_library"),
        ("index.mjs", "export const other = 1; // no handler\n", "index.handler"),
        ("bootstrap", "#!/bin/sh\necho it lacks something >&2\nexit 3\n", "it lacks something"),
    ],
)
def test_a_function_that_does_not_start_is_said_before_the_first_file_needs_it(make_server, tmp_path, name, text, words):
    code = tmp_path / name
    code.write_text(text)
    code.chmod(0o755)
    handler = [] if name == "bootstrap" else ["--function-handler", "handler"]
    server = make_server("--function", str(code), *handler, "--function-python", sys.executable)
    until("it is said", lambda: "does not start" in server.log.read_text())
    [line] = [line for line in server.log.read_text().splitlines() if "does not start" in line]
    assert words in line
    # It takes files as ever.
    tell(server, "k", "x")


def test_files_go_by_the_first_route_that_takes_them(make_server, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(
        f"""
[processor.told]
function = "{FUNCTIONS / "told.py"}"
function_python = "{sys.executable}"
[[route]]
name = "letters"
key = "letters/**"
processor = "told"
max_attempts = 2
backoff_s = 0
[[route]]
name = "pictures"
type = "image/*"
size_max = 100
processor = "describe"
"""
    )
    server = make_server("--config", str(config))
    s3 = server.s3()
    tell(server, "letters/a", "echo")
    tell(server, "letters/b", "fail")
    s3.put_object(Bucket=server.staging, Key="other", Body=b"x", ContentType="image/png")
    assert ended(server, "letters/a")["report"]["function"] == "told"
    failed = ended(server, "letters/b")
    assert (failed["state"], len(failed["attempts_log"])) == ("failed", 2)
    assert ended(server, "other")["report"]["size"] == 1
    said = server.run("config", "check", "a.png", "--type", "image/png", "--size", "101", "--config", config).stdout
    assert said.splitlines() == [
        "letters: no, the key does not match letters/**",
        "pictures: no, it is larger than 100 bytes",
        "no route takes it; it goes to the default",
    ]
    said = server.run("config", "check", "letters/x", "--config", config).stdout
    assert said == "letters: yes, it goes to told\n"


def test_many_files_of_a_slow_route_leave_the_workers_to_others(make_server, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(
        f"""
workers = 2
max_attempts = 1
[processor.told]
function = "{FUNCTIONS / "told.py"}"
function_python = "{sys.executable}"
function_timeout_s = 600
[[route]]
name = "slow"
key = "slow/**"
processor = "told"
concurrency = 1
"""
    )
    server = make_server("--config", str(config))
    for number in range(8):
        tell(server, f"slow/{number}", "hang")
    until("one of them is in work", lambda: server.api.uploads(state="processing"))
    server.s3().put_object(Bucket=server.staging, Key="quick", Body=b"x")
    assert ended(server, "quick")["state"] == "archived"
    assert len(server.api.uploads(state="processing")) == 1


def test_what_a_function_writes_is_kept_with_each_attempt(serve):
    server = serve("told.py", "--max-attempts", "2")
    tell(server, "k", "fail")
    assert ended(server, "k")["state"] == "failed"
    said = server.run("logs", "k").stdout
    assert said.count("told to fail by k") == 2
    assert "RuntimeError: told to raise RuntimeError" in said
