"""Sends one large file to the release program and prints the most memory the server ever held.

Run by `cargo xtask bench memory`.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "e2e"))

from harness import kept  # noqa: E402
from harness.content import GIB, MIB, write_large  # noqa: E402
from harness.server import Server  # noqa: E402

LIMIT_BYTES = 300 * MIB


def main():
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--gib", type=int, default=5)
    size = flags.parse_args().gib * GIB
    with tempfile.TemporaryDirectory(prefix="two-buckets-memory-") as folder:
        server = Server(folder).start()
        try:
            file = Path(folder) / "large.bin"
            digest = write_large(file, size, "memory")
            began = time.monotonic()
            server.s3().upload_file(str(file), server.staging, "large.bin")
            sent = time.monotonic()
            file.unlink()
            kept.staging_is_empty(server, within_s=900)
            archived = time.monotonic()
            kept.archived_bytes_are(server, {"large.bin": digest})
            peak = server.peak_memory_bytes()
        finally:
            server.kill()
    print(f"{size / GIB:.0f} GiB: sent in {sent - began:.1f} s ({size / (sent - began) / 1e6:.0f} MB/s, parts of 8 MiB)")
    print(f"archived {archived - sent:.1f} s later; read back with the same SHA-256")
    print(f"peak memory of the server: {peak / MIB:.0f} MiB (limit {LIMIT_BYTES / MIB:.0f} MiB)")
    return 0 if peak < LIMIT_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
