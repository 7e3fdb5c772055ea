"""moto, a stand-in for AWS's services, in a process of its own."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

OURS = Path(__file__).resolve().parents[2] / "moto"
SCRIPT = """
import collections, json, sys, threading
sys.path.append(sys.argv[2])
import transactions
transactions.apply()
from werkzeug.serving import make_server
from moto.server import DomainDispatcherApplication, create_backend_app
app = DomainDispatcherApplication(create_backend_app)
calls, lock = collections.defaultdict(lambda: [0, 0]), threading.Lock()

def counting(environ, start):
    if environ['PATH_INFO'] == '/__calls__':
        with lock:
            body = json.dumps(calls).encode()
            calls.clear()
        start('200 OK', [('content-type', 'application/json')])
        return [body]
    operation = environ.get('HTTP_X_AMZ_TARGET', 'Other').rsplit('.', 1)[-1]
    with lock:
        calls[operation][0] += 1
        calls[operation][1] += int(environ.get('CONTENT_LENGTH') or 0)
    return app(environ, start)

server = make_server('127.0.0.1', 0, counting, sys.argv[1] == 'threaded')
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def serving(log, one_at_a_time=False):
    """Serves for as long as it lasts and gives the URL.

    moto's DynamoDB takes back others' changes with a refused transaction, so its requests must come one at a time; a
    poll of SQS would then hold up everything, so that needs a server of its own."""
    how = "one" if one_at_a_time else "threaded"
    with log.open("wb") as complaints:
        command = [sys.executable, "-c", SCRIPT, how, OURS]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints)
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
            process.wait()


def calls(url):
    """How often each operation was called since this was asked last, and the bytes of its requests."""
    with urllib.request.urlopen(url + "/__calls__") as answer:
        return {operation: tuple(counts) for operation, counts in json.load(answer).items()}
