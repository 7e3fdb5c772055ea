"""A small folder of files such as people have, for clients that copy folders."""

from pathlib import Path

from harness.content import sha256_of_file, some_bytes

FILES = {
    "empty": 0,
    "one byte.txt": 1,
    "notes/read me + first.txt": 3_000,
    "notes/größe 100%.csv": 70_000,
    "photos/2026/👩‍👩‍👧.jpg": 300_000,
    "photos/large.bin": 6 << 20,
}


def write(folder, seed):
    """Writes the files and returns the SHA-256 of each by its path in the folder."""
    digests = {}
    for name, size in FILES.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(some_bytes(size, f"{seed}/{name}"))
        digests[name] = sha256_of_file(path)
    return digests


def read(folder):
    """The SHA-256 of every file in a folder by its path there."""
    folder = Path(folder)
    return {str(path.relative_to(folder)): sha256_of_file(path) for path in folder.rglob("*") if path.is_file()}


def under(prefix, digests):
    """The same digests by the key each file gets under a prefix."""
    return {prefix + name: digest for name, digest in digests.items()}
