"""moto, a stand-in for AWS's services, in a process of its own."""

import contextlib
import importlib.util
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from werkzeug.serving import make_server
from moto.server import DomainDispatcherApplication, create_backend_app
app = DomainDispatcherApplication(create_backend_app)
server = make_server('127.0.0.1', 0, app, sys.argv[1] == 'threaded')
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def serving(log, one_at_a_time=False):
    """Serves for as long as it lasts and gives the URL; skips the test where moto is not.

    moto's DynamoDB takes back others' changes with a refused transaction, so its requests must come one at a time; a
    poll of SQS would then hold up everything, so that needs a server of its own."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        pytest.skip("moto's server is not installed in this environment")
    how = "one" if one_at_a_time else "threaded"
    with log.open("wb") as complaints:
        command = [sys.executable, "-c", SCRIPT, how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints)
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
            process.wait()
