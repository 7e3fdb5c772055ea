"""A server of moto's for tests: it counts its calls, and may be told to be as busy and as unreliable as a service is.

`server.py one|threaded` prints its port. `GET /__calls__` gives calls by operation since it was asked last, and
`GET /__actions__` the actions of IAM that those in a role's name were (a transaction is the actions of its items).
`PUT /__weather__` takes the probabilities by which calls are throttled, transactions meet a conflict, and calls are made and
their answer lost."""

import collections
import io
import json
import random
import sys
import threading
import zlib

import queries
import queues
import transactions

queries.apply()
queues.apply()
transactions.apply()

from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: E402 (what moto copies with is set before)
from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: E402

BUSY = {
    "DynamoDB_20120810": ("com.amazonaws.dynamodb.v20120810", "ProvisionedThroughputExceededException"),
    "AmazonSQS": ("com.amazonaws.sqs", "RequestThrottled"),
}

# What each item of a transaction has to be allowed as (DynamoDB Developer Guide, "Using IAM with transactions").
IN_A_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


class Weather:
    def __init__(self):
        self.random = random.Random("weather")
        self.lock = threading.Lock()
        self.busy = self.conflicts = self.lost = 0.0
        self.seen = collections.Counter()

    def set(self, busy=0.0, conflicts=0.0, lost=0.0):
        with self.lock:
            self.busy, self.conflicts, self.lost = busy, conflicts, lost
            return dict(self.seen)

    def of(self, operation):
        """What happens to this call."""
        with self.lock:
            roll = self.random.random()
            for what, probability in (
                ("busy", self.busy),
                ("lost", self.lost),
                ("conflict", self.conflicts if operation == "TransactWriteItems" else 0.0),
            ):
                if roll < probability:
                    self.seen[what] += 1
                    return what
                roll -= probability
            return None


class Server:
    def __init__(self):
        self.app = DomainDispatcherApplication(create_backend_app)
        self.calls, self.actions, self.lock = collections.Counter(), set(), threading.Lock()
        self.weather = Weather()

    def __call__(self, environ, start):
        size = int(environ.get("CONTENT_LENGTH") or 0)
        match environ["PATH_INFO"]:
            case "/__calls__":
                with self.lock:
                    body = json.dumps(self.calls)
                    self.calls.clear()
                return answer(start, "200 OK", body)
            case "/__actions__":
                with self.lock:
                    body = json.dumps(sorted(self.actions))
                    self.actions.clear()
                return answer(start, "200 OK", body)
            case "/__weather__":
                seen = self.weather.set(**json.loads(environ["wsgi.input"].read(size) or "{}"))
                return answer(start, "200 OK", json.dumps(seen))
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "Other").rpartition(".")
        actions = [operation]
        if operation.startswith("Transact"):
            body = environ["wsgi.input"].read(size)
            environ["wsgi.input"] = io.BytesIO(body)
            actions = [IN_A_TRANSACTION[kind] for item in json.loads(body)["TransactItems"] for kind in item]
        # Only a role's credentials have a token.
        is_by_role = "HTTP_X_AMZ_SECURITY_TOKEN" in environ
        with self.lock:
            self.calls[operation] += 1
            self.actions.update(actions if is_by_role else ())
        if service not in BUSY:
            return self.app(environ, start)
        namespace, busy = BUSY[service]
        match self.weather.of(operation):
            case "busy":
                return answer(start, "400 Bad Request", failure(namespace, busy))
            case "conflict":
                return answer(start, "400 Bad Request", conflict(namespace, environ["wsgi.input"].read(size)))
            case "lost":
                list(self.app(environ, lambda *_: None))
                return answer(start, "500 Internal Server Error", failure(namespace, "InternalServerError"))
        return self.app(environ, start)


def conflict(namespace, body):
    """Another transaction has the first item of this one."""
    others = len(json.loads(body)["TransactItems"]) - 1
    reasons = [{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}] + [{"Code": "None"}] * others
    return failure(namespace, "TransactionCanceledException", CancellationReasons=reasons)


def failure(namespace, name, **more):
    return json.dumps({"__type": f"{namespace}#{name}", "message": f"{name}, as the test wants it"} | more)


def answer(start, status, body):
    body = body.encode()
    start(
        status,
        [
            ("content-type", "application/x-amz-json-1.0"),
            ("content-length", str(len(body))),
            # DynamoDB's clients compare it where it is there.
            ("x-amz-crc32", str(zlib.crc32(body))),
        ],
    )
    return [body]


class Handler(WSGIRequestHandler):
    # A client that is stopped in the middle of a request must not hold up all others, where one is served at a time.
    timeout = 5


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, Server(), sys.argv[1] == "threaded", request_handler=Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
