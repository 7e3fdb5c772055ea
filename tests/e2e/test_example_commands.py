"""The examples that need no Rust: the command line of `examples/video-still/README.md` itself."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.tools import needed
from harness.waiting import until

ROOT = Path(__file__).parents[2]
READMES = (ROOT / "README.md", ROOT / "examples" / "video-still" / "README.md")


def documented_flags():
    """The flags of `serve` as they stand in both READMEs, line breaks and all."""
    lines = re.compile(r"serve (--command 'ffmpeg [^']+'(?:\s+--\S+ \S+| \\\n)+)")
    [flags] = {" ".join(lines.search(at.read_text())[1].replace("\\\n", " ").split()) for at in READMES}
    return shlex.split(flags)


@pytest.fixture
def ffmpeg():
    return needed("ffmpeg")


@pytest.fixture
def server(make_server):
    return make_server(*documented_flags())


def make_video(ffmpeg, path, *what):
    command = [ffmpeg, "-nostdin", "-v", "error", *what, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


def settled(server, key):
    """The upload of this key once it is archived or failed."""

    def look():
        found = [upload for upload in server.api.uploads() if upload["key"] == key]
        return found and found[0]["state"] in ("archived", "failed") and found[0]

    return until(f"{key} is archived or failed", look)


def test_a_video_gets_a_still_and_is_kept_as_it_was(ffmpeg, server, tmp_path):
    colour = "color=c=red:size=320x180:rate=10:duration=2"
    for name in ("film.mp4", "film.mkv", "film with 'odd' $name.mp4"):
        film = make_video(ffmpeg, tmp_path / name, "-f", "lavfi", "-i", colour)
        s3 = server.s3()
        s3.upload_file(str(film), server.staging, name)
        upload = settled(server, name)
        assert upload["state"] == "archived", upload
        key = f"_results/{name}/{upload['version_id']}/still.jpg"
        answer = s3.get_object(Bucket=server.archive, Key=key)
        assert answer["ContentType"] == "image/jpeg"
        still = answer["Body"].read()
        assert still.startswith(b"\xff\xd8\xff"), still[:20]
        # Decoded again by ffmpeg: one red picture of the film's size.
        raw = subprocess.run(
            [ffmpeg, "-nostdin", "-v", "error", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
            input=still,
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        assert len(raw) == 320 * 180 * 3
        red, green, blue = raw[:3]
        assert red > 200 and green < 60 and blue < 60, (red, green, blue)
        kept = s3.get_object(Bucket=server.archive, Key=name)["Body"].read()
        assert kept == film.read_bytes()


def test_what_is_no_video_is_set_aside_with_what_ffmpeg_says(ffmpeg, server, tmp_path):
    tone = make_video(ffmpeg, tmp_path / "tone.mp4", "-f", "lavfi", "-i", "sine=duration=1")
    for name, body in (("words.mp4", b"no video at all"), ("empty.mp4", b""), ("tone.mp4", tone.read_bytes())):
        server.s3().put_object(Bucket=server.staging, Key=name, Body=body)
        upload = settled(server, name)
        assert upload["state"] == "failed", upload
        assert server.run("logs", name).stdout.strip(), name
    assert server.s3().list_objects_v2(Bucket=server.archive)["KeyCount"] == 0


def test_a_list_of_other_files_is_no_video(ffmpeg, server, tmp_path):
    """ffmpeg follows playlists: one sent by a stranger would make a still of any film the server can read or reach."""
    secret = make_video(ffmpeg, tmp_path / "secret.ts", "-f", "lavfi", "-i", "testsrc=duration=1")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile '{secret}'\n"
    for name, body in (("list.m3u8", playlist), ("list.mp4", playlist), ("list.ffconcat", concat), ("list.mov", concat)):
        server.s3().put_object(Bucket=server.staging, Key=name, Body=body.encode())
        upload = settled(server, name)
        assert upload["state"] == "failed", upload
    assert server.s3().list_objects_v2(Bucket=server.archive)["KeyCount"] == 0
