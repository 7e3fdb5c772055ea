"""One run of the script: what it put, and how it waits."""

import dataclasses
import hashlib
import time

# Where a row can be that is not owed anything, of crates/aws/src/ledger/rows.rs.
ENDED = ("archived", "late", "duplicate", "failed")


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@dataclasses.dataclass
class Put:
    """A version that was put, and its bytes' digest."""

    key: str
    version: str
    sha256: str
    # Whether the function is known to refuse it.
    must_fail: bool = False


class Run:
    """What the probes share."""

    def __init__(self, stack, report, prefix, within_s, pause):
        self.stack, self.report, self.prefix, self.within_s, self.pause = stack, report, prefix, within_s, pause
        # Of each key in the order in which they are to become current.
        self.puts = []
        # Keys that the upload API made, which are not below the prefix.
        self.minted = []
        # The version id of a delete marker that nobody is told of.
        self.marker = None

    def put(self, name, content, **more):
        """Puts a file below the prefix."""
        key = self.prefix + name
        written = self.stack.s3.put_object(Bucket=self.stack.staging, Key=key, Body=content)
        self.puts.append(Put(key, written.get("VersionId"), sha256(content), **more))
        return self.puts[-1]

    def until(self, look):
        """Waits for as long as it may take, and gives what was seen last."""
        deadline = time.monotonic() + self.within_s
        while not (seen := look()) and time.monotonic() <= deadline:
            self.pause()
        return seen

    def ended(self, put):
        """The row of an upload that has ended."""
        row = self.stack.row(put)
        return row if row and row["state"] in ENDED else None

    def made(self, bucket):
        """The versions and delete markers in a bucket that are of this run, without what is late and results."""
        found = self.stack.versions(bucket, self.prefix)
        for key in self.minted:
            for of_all, of_key in zip(found, self.stack.versions(bucket, key), strict=True):
                of_all += [version for version in of_key if version["Key"] == key]
        return found

    def keys(self):
        return sorted({put.key for put in self.puts})

    def late(self):
        """The versions in the archive that are kept beside."""
        return [version for key in self.keys() for version in self.beside(key)]

    def beside(self, key):
        """Those of one key: `late_key` in crates/pipeline/src/archive.rs."""
        return self.stack.versions(self.stack.archive, f"_late/{sha256(key.encode())}/")[0]

    def results(self):
        """What the function kept of these files: `results_prefix` in the same file."""
        archive, found = self.stack.archive, []
        for key in self.keys():
            for name in (key, sha256(key.encode())):
                found += self.stack.versions(archive, f"_results/{name}/")[0]
        return found
