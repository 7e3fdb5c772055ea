"""Clients that send without end and write down what they were told, over a server that may be killed at any moment."""

import http.client
import itertools
import random
import threading
import urllib.error

from botocore.exceptions import BotoCoreError, ClientError

from harness.api import Refused
from harness.content import MIB, some_bytes

# In the log, at its limit for bodies, and in files of their own.
SIZES = [0, 100, 4096, 20_000, 131_072, 131_073, 400_000]
JOB_BYTES = 3 * MIB
# What a client sees of a server that was killed: no answer, half of one, or a refused connection.
NO_ANSWER = (BotoCoreError, urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def is_of_the_server_before(refused):
    """Each server has an admin token of its own; the next one's is read with its addresses."""
    return isinstance(refused, Refused) and refused.status == 401


class Sender:
    """Sends until it is told to stop. Its choices are those of a seed; what the server makes of them is not."""

    def __init__(self, server, book, seed, name, pause_s=0, read_timeout=60):
        # One attempt each: a repeat would send a file again whose first PUT may be kept.
        self.s3 = server.s3(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=read_timeout)
        self.server = server
        self.book = book
        self.name = name
        self.pause_s = pause_s
        self.random = random.Random(f"{seed}/{name}")
        self.number = 0
        self.stop = threading.Event()

    def run(self, stop, alive):
        self.stop = stop
        while not stop.is_set():
            alive.wait(timeout=1)
            self.number += 1
            try:
                self.send()
            except NO_ANSWER:
                # The file may be kept or not, but never by half.
                pass
            except (ClientError, Refused) as refused:
                if not is_of_the_server_before(refused):
                    self.book.refuse(f"{self.name}: {refused}")
            if self.pause_s:
                stop.wait(self.random.uniform(0, 2 * self.pause_s))

    def body(self, size=None):
        return some_bytes(self.random.choice(SIZES) if size is None else size, f"{self.name}/{self.number}")

    def put(self, key, body):
        sent = self.book.begin(key, body)
        answer = self.s3.put_object(Bucket=self.server.staging, Key=key, Body=body)
        self.book.acknowledge(sent, answer["VersionId"])

    def until_answered(self, call):
        """Repeats what may be repeated until the server answers; none once everything is to stop."""
        while not self.stop.is_set():
            try:
                return call()
            except NO_ANSWER:
                self.stop.wait(0.05)
            except Refused as refused:
                if not is_of_the_server_before(refused):
                    raise
                self.stop.wait(0.05)
        return None


class Fresh(Sender):
    """One new key after another, some of which the function refuses or fails on at first."""

    def send(self):
        kind = self.random.choice(["plain", "plain", "plain", "shaky", "bad"])
        self.put(f"{kind}/{self.name}/{self.number}", self.body())


class Overwriter(Sender):
    """The same few keys again and again, as others do at the same time."""

    def send(self):
        self.put(f"over/{self.random.randrange(4)}", self.body())


class InParts(Sender):
    """Multipart uploads, of which some end late, behind a version that was sent meanwhile, and some never."""

    def send(self):
        key = f"parts/{self.random.randrange(3)}"
        at = {"Bucket": self.server.staging, "Key": key}
        # The last part may be small.
        sizes = [5 * MIB, 70_000] if self.random.random() < 0.1 else [self.random.choice(SIZES)]
        parts = [self.body(size) for size in sizes]
        sent = self.book.begin(key, b"".join(parts))
        upload = at | {"UploadId": self.s3.create_multipart_upload(**at)["UploadId"]}
        if self.random.random() < 0.3:
            self.put(key, self.body(1_000))
        if self.random.random() < 0.1:
            return
        done = []
        for number, part in enumerate(parts, 1):
            # The same part again takes the place of the first.
            answer = self.until_answered(lambda: self.s3.upload_part(**upload, PartNumber=number, Body=part))
            if answer is None:
                return
            done.append({"PartNumber": number, "ETag": answer["ETag"]})
        # A completion whose answer was lost is answered again, and is one upload.
        answer = self.until_answered(lambda: self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done}))
        if answer is not None:
            self.book.acknowledge(sent, answer["VersionId"])


class Jobs(Sender):
    """Files that are large enough to be jobs."""

    def send(self):
        self.put(f"job/{self.number % 2}/{self.number}", self.body(JOB_BYTES))


class Minted(Sender):
    """Keys from the upload API, sent again when no answer came, as the page does."""

    def send(self):
        body = self.body()
        grant = self.until_answered(lambda: self.server.api.post("/api/signedurl", {"size": len(body), "filename": f"{self.name}.bin"}))
        if grant is None:
            return
        for attempt in itertools.count():
            try:
                self.server.api.send(grant, body)
                break
            except NO_ANSWER:
                if self.stop.is_set():
                    return
                self.stop.wait(0.05)
            except Refused as refused:
                # An earlier attempt was kept, though its answer was lost.
                if attempt and refused.status == 412:
                    break
                raise
        self.book.acknowledge_unique(grant["key"], body)


class Operator(Sender):
    """Somebody who retries what failed, and sweeps, again and again."""

    def send(self):
        self.book.see_failed(self.server.api.uploads(state="failed"))
        self.server.api.post("/api/retry", {"all": True})
        self.server.api.post("/api/sweep")
