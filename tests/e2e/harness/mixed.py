"""A thousand real files of many kinds, as somebody's folder has them: sources, images, tables, archives, and one of 1 GiB."""

import io
import struct
import subprocess
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from harness.content import GIB, sha256, some_bytes, write_large

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class File:
    """A file on disk, and what it must be found as."""

    path: Path
    name: str
    size: int
    sha256: str
    media_type: str | None


def png(width, height, seed):
    """A picture of noise that any viewer opens."""
    rows = b"".join(b"\0" + some_bytes(width * 3, f"{seed}/{row}") for row in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def zipped(entries):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return packed.getvalue()


def table(rows, seed):
    """A CSV with a quoted comma and a quoted line break in each row."""
    lines = [f'{number},"Müller, {seed}","two\nlines",{number * 3.5}\n' for number in range(rows)]
    return ("id,name,note,amount\n" + "".join(lines)).encode()


def _sources():
    """The repository's own files, as git lists them."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout.decode()
    return [(name, REPOSITORY / name) for name in listed.split("\0") if name and (REPOSITORY / name).is_file()]


def write(folder, count, large_size=GIB):
    """Makes `count` files, the last of `large_size` bytes, and says what each must be found as."""
    folder = Path(folder)
    files = []

    def add(name, data, media_type=None):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        files.append(File(path, name, len(data), sha256(data), media_type))

    # Copies, which nobody edits meanwhile.
    sources = {f"sources/{name}": path.read_bytes() for name, path in _sources()[: count // 2]}
    for name, data in sources.items():
        add(name, data)
    add("sources.zip", zipped(sources), "application/zip")
    add("empty", b"")
    add("page.html", b"<!doctype html><script>document.title = 'ran'</script>")
    number = 0
    while len(files) < count - 1:
        number += 1
        kind = number % 4
        if kind == 0:
            add(f"images/{number}.png", png(16 + number % 50, 9 + number % 30, number), "image/png")
        elif kind == 1:
            add(f"tables/{number}.csv", table(number % 400, number))
        elif kind == 2:
            add(f"notes/{number}.txt", f"note {number}\n".encode() * (number * 7))
        else:
            # Up to 600 KB: on both sides of the size up to which bodies are kept in the log.
            add(f"data/{number}.bin", some_bytes(number * 600, number))
    large = folder / "large.bin"
    files.append(File(large, "large.bin", large_size, write_large(large, large_size, "mixed"), None))
    return files
