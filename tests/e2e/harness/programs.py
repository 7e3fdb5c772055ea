"""The programs that tests use beside the one under test: functions of a deployment, and the JavaScript programs in
`tests/js`, run to their end or spoken with while they run."""

import json
import os
import queue
import subprocess
import threading
from pathlib import Path

from harness.tools import aws_environment, needed, run

JS = Path(__file__).resolve().parents[2] / "js"


def function(name):
    """A Lambda function of a deployment as an executable; `cargo xtask test` says where it is."""
    return _built(f"TWO_BUCKETS_{name.upper()}_FUNCTION", name)


def invoke():
    """What runs functions under our own Lambda host; `cargo xtask test` says where it is."""
    return _built("TWO_BUCKETS_INVOKE", "the program `invoke` of two-buckets-lambda-host")


def _built(variable, what):
    path = os.environ.get(variable)
    if not path:
        raise RuntimeError(f"set {variable} to {what}, or run `cargo xtask test`")
    return Path(path)


def _arguments(server, arguments):
    told = {"web": server.web, "token": server.api.token, "page": server.web} | arguments
    return [needed("node"), JS / told.pop("program"), json.dumps(told)]


def node(server, home, program, within_s=180, **arguments):
    """Runs a program with a JSON of arguments; returns the JSON it prints."""
    command = _arguments(server, arguments | {"program": program})
    return json.loads(run(command, aws_environment(server, home), within_s=within_s))


def browser(server, home, program, within_s=180, **arguments):
    """Runs a program that drives Chromium."""
    return node(server, home, program, within_s, chromium=needed("chromium"), **arguments)


class Conversation:
    """A program that drives Chromium, and tells and asks in lines of JSON while it runs."""

    def __init__(self, server, home, program, **arguments):
        command = _arguments(server, arguments | {"program": program, "chromium": needed("chromium")})
        self.said = queue.Queue()
        self.errors = (Path(home) / f"{program}.stderr").open("w+")
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=aws_environment(server, home),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.said.put(json.loads(line))
        self.said.put(None)

    def hear(self, what, within_s=120):
        """The next thing it says, which must be a JSON object with the member `what`; returns that member."""
        try:
            said = self.said.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"the program did not say {what!r} within {within_s} s\n{self._stderr()}") from None
        if said is None or what not in said:
            raise AssertionError(f"wanted {what!r}, heard {said!r}\n{self._stderr()}")
        return said[what]

    def answer(self, what=None):
        """Answers what it asked, so that it goes on."""
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def _stderr(self):
        self.errors.flush()
        self.errors.seek(0)
        return self.errors.read()[-4000:]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        try:
            code = self.process.wait(timeout=1 if kind else 60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        errors = self._stderr()
        self.errors.close()
        if kind is None and code != 0:
            raise AssertionError(f"the program ended with {code}\n{errors}")
