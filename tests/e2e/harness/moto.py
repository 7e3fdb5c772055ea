"""moto, a stand-in for AWS's services, in a process of its own."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

SERVER = Path(__file__).resolve().parents[2] / "moto" / "server.py"


@contextlib.contextmanager
def serving(log, one_at_a_time=False):
    """Serves for as long as it lasts and gives the URL.

    moto's DynamoDB takes back others' changes with a refused transaction, so its requests must come one at a time; a
    poll of SQS would then hold up everything, so that needs a server of its own."""
    how = "one" if one_at_a_time else "threaded"
    with log.open("wb") as complaints:
        command = [sys.executable, SERVER, how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints)
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
            process.wait()


def calls(url):
    """How often each operation was called since this was asked last."""
    return _asked(url + "/__calls__")


def actions(url):
    """Which actions of IAM the calls in a role's name were since this was asked last."""
    return set(_asked(url + "/__actions__"))


def weather(url, **probabilities):
    """How many calls are refused (`busy`), how many transactions (`conflicts`), and how many calls are made and their answer
    lost (`lost`), from now on; gives how many were since the start."""
    request = urllib.request.Request(url + "/__weather__", data=json.dumps(probabilities).encode(), method="PUT")
    return _asked(request)


def _asked(request):
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
