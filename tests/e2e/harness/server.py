"""The release program as a user runs it: started on free ports in its own data folder, stopped, killed, started again."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from harness.api import Api
from harness.keys import REGION, Key
from harness.waiting import until

ACCESS_KEY_ID = "AKIATWOBUCKETSTEST00"
SECRET_ACCESS_KEY = "a/secret+with=odd/characters0123456789ab"
ROOT = Key(ACCESS_KEY_ID, SECRET_ACCESS_KEY)


def program():
    """The program under test; `cargo xtask test` says where it is."""
    path = os.environ.get("TWO_BUCKETS_PROGRAM")
    if not path:
        raise RuntimeError("set TWO_BUCKETS_PROGRAM to the release program, or run `cargo xtask test`")
    return Path(path)


class Server:
    """One server on one data folder. After a restart it has the same addresses, so that clients find it again."""

    staging = "staging"
    archive = "archive"

    def __init__(self, folder, *flags, certificate=None, data=None, through=(), variables=None):
        """`flags` are those of `serve`; `certificate` is the file to know it by, where it has TLS. `data` is another data
        folder than one of its own, `through` a program that starts it, `variables` are for it alone."""
        self.folder = Path(folder)
        self.certificate = certificate
        self.data = Path(data) if data else self.folder / "data"
        self.through = through
        self.variables = variables or {}
        self.log = self.folder / "server.log"
        self.flags = flags
        self.root = ROOT
        self.process = None
        self.record = None
        self._addresses = ("127.0.0.1:0", "127.0.0.1:0")

    def start(self):
        """Starts it and waits until both listeners answer."""
        self.launch()
        self.record = until("the server left its addresses", self._own_record, within_s=60)
        for address in (self.endpoint, self.web):
            until(f"{address} accepts connections", lambda address=address: self._accepts(address))
        self._addresses = (urlsplit(self.endpoint).netloc, urlsplit(self.web).netloc)
        return self

    def launch(self):
        """Starts it and waits for nothing."""
        s3, web = self._addresses
        command = [*self.through, program(), "serve", "--data", self.data, "--s3", s3, "--web", web, *self.flags]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment() | self.variables
            )

    def is_ready(self):
        """Whether it has left its addresses and answers at both."""
        self.record = self.process.poll() is None and self._own_record()
        return bool(self.record) and all(self._accepts(address) for address in (self.endpoint, self.web))

    def stop(self):
        """Asks it to end, as a service manager does, and returns its exit code."""
        if self.process is None or self.process.poll() is not None:
            return None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def kill(self):
        """Ends it at once, wherever it is."""
        self.process.kill()
        self.process.wait()

    def run(self, *words, check=True):
        """Runs one of the program's other commands on the same data folder."""
        command = [program(), *words, "--data", self.data]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=600)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def environment(self):
        """The variables the program runs with; none of the caller's settings reach it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TWO_BUCKETS_")}
        return kept | {
            "TWO_BUCKETS_ACCESS_KEY_ID": self.root.access_key_id,
            "TWO_BUCKETS_SECRET_ACCESS_KEY": self.root.secret_access_key,
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }

    @property
    def endpoint(self):
        return self.record["s3"]

    @property
    def web(self):
        return self.record["web"]

    @property
    def api(self):
        return self.api_as(self.record["admin_token"])

    def api_as(self, token):
        """Its API as the holder of another token calls it, or with none as anybody does."""
        return Api(self.web, token, self.certificate)

    def s3(self, key=None, **settings):
        """A boto3 client of it that signs with `key`, the root key by default; `settings` are botocore's."""
        return self.client("s3", key, **settings)

    def client(self, service, key=None, **settings):
        """A boto3 client of one of its services: `s3` or `sts`."""
        settings = {"max_pool_connections": 32} | settings
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            config=Config(**settings),
            verify=str(self.certificate) if self.certificate else None,
            **(key or self.root).for_boto3(),
        )

    def peak_memory_bytes(self):
        """The most memory the process ever held, as the kernel counts it (VmHWM)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel says nothing of the server's memory")

    def _own_record(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
        try:
            record = json.loads((self.data / "server.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        # A killed server leaves its record behind; only this process's own will do.
        return record if record["pid"] == self.process.pid else None

    @staticmethod
    def _accepts(address):
        at = urlsplit(address)
        try:
            socket.create_connection((at.hostname, at.port), timeout=5).close()
        except OSError:
            return False
        return True
