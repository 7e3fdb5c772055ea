"""Bytes to send: the same for the same seed, never compressible, and never the same for two seeds."""

import hashlib
import random
import struct

MIB = 1 << 20
GIB = 1 << 30


def some_bytes(size, seed):
    """`size` bytes that only this seed has."""
    return random.Random(f"{seed}/{size}").randbytes(size)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def write_large(path, size, seed):
    """Writes a file of `size` bytes a MiB at a time and returns its SHA-256. Every MiB differs, so none can be swapped."""
    block = some_bytes(MIB - 8, seed)
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for number in range(size // MIB):
            for piece in (struct.pack("<Q", number), block):
                file.write(piece)
                digest.update(piece)
        rest = block[: size % MIB]
        file.write(rest)
        digest.update(rest)
    return digest.hexdigest()


def sha256_of_file(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_stream(stream):
    digest = hashlib.sha256()
    for chunk in iter(lambda: stream.read(MIB), b""):
        digest.update(chunk)
    return digest.hexdigest()
