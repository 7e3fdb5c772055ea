"""What Lambda's event source mapping and schedule do: hand the messages of a queue to a function in batches, delete what it
did, leave what it did not, and call the sweep now and then. The functions run under our own Lambda host."""

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import botocore.exceptions

from harness.deployment import batch_of
from harness.programs import invoke


class Function:
    """An executable under the Lambda host, which takes as many events at once as it may."""

    def __init__(self, executable, variables, log, concurrency=1, timeout_s=60):
        command = [invoke(), "--concurrency", str(concurrency), "--timeout-s", str(timeout_s), executable]
        self.log = log.open("wb")
        self.host = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=variables, text=True
        )
        self.lock = threading.Lock()
        self.sent = 0
        self.waiting = {}
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def invoke(self, event):
        """Waits for the answer: the line that the host says."""
        done = threading.Event()
        with self.lock:
            number = self.sent
            self.sent += 1
            self.waiting[number] = (done, [])
            self.host.stdin.write(json.dumps(event) + "\n")
            self.host.stdin.flush()
        done.wait()
        return self.waiting.pop(number)[1][0]

    def environments(self):
        """The processes that it runs in right now."""
        children = Path(f"/proc/{self.host.pid}/task/{self.host.pid}/children")
        found = []
        for thread in children.parents[1].iterdir():
            found += (thread / "children").read_text().split()
        return [int(pid) for pid in found]

    def _read(self):
        for line in self.host.stdout:
            said = json.loads(line)
            done, answer = self.waiting[said["n"]]
            answer.append(said)
            done.set()
        for done, answer in self.waiting.values():
            answer.append({"failure": "the host ended"})
            done.set()

    def close(self):
        self.host.stdin.close()
        try:
            assert self.host.wait(timeout=60) == 0, self.host.returncode
        finally:
            self.host.kill()
            self.log.close()


class Mapping:
    """Polls the queue with this many pollers until it is stopped."""

    def __init__(self, deployment, function, pollers):
        self.deployment, self.function = deployment, function
        self.stop = threading.Event()
        self.failures, self.durations = [], []
        self.threads = [threading.Thread(target=self._poll, daemon=True) for _ in range(pollers)]
        for thread in self.threads:
            thread.start()

    def _poll(self):
        sqs, url = self.deployment.sqs, self.deployment.queue_url
        while not self.stop.is_set():
            try:
                messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
            except botocore.exceptions.ClientError:
                # Refused more often than it is asked again by itself, in bad weather.
                continue
            if not messages:
                continue
            said = self.function.invoke(batch_of(messages))
            if "failure" in said:
                self.failures.append(said["failure"])
                continue
            failed = {item["itemIdentifier"] for item in said["answer"]["batchItemFailures"]}
            done = [message for message in messages if message["MessageId"] not in failed]
            for message in done:
                # What is not deleted comes again.
                with contextlib.suppress(botocore.exceptions.ClientError):
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def close(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(timeout=120)
            assert not thread.is_alive()


def kill_now_and_then(function, stop, seed, most, every_s=2.0):
    """Kills an environment in the middle of what it does, so often at most or until it is told to stop; gives how often."""
    chosen, killed = random.Random(seed), 0
    while killed < most and not stop.wait(chosen.uniform(0, 2 * every_s)):
        environments = function.environments()
        if environments:
            os.kill(chosen.choice(environments), signal.SIGKILL)
            killed += 1
            time.sleep(0.05)
    return killed
