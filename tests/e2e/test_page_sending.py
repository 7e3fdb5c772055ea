"""Our page in Chromium on the real program: both ways of sending, every size, and everything that may go wrong on the way."""

import pytest

from harness import kept, programs
from harness.awkward import AWKWARD_KEYS
from harness.content import MIB, sha256, sha256_of_file, some_bytes, write_large

WAYS = ["signed", "credentials"]
ways = pytest.mark.parametrize("way", WAYS)
# The page sends what is larger than 16 MiB in parts of 8 MiB.
PART = 8 * MIB
SIZES = {"empty.txt": 0, "one byte.txt": 1, "five.bin": 5 * MIB, "seventeen.bin": 17 * MIB, "large.bin": 200 * 1_000_000}
HALF = 5 * PART - 1


def archived(server):
    """The SHA-256 of everything in the archive by the name that it was sent under."""
    s3 = server.s3()
    keys = kept.keys(s3, server.archive)
    assert len(kept.versions(s3, server.archive)) == len(keys), "nothing is kept twice"
    found = {key.split("/", 2)[2]: kept.sha256_in(s3, server.archive, key) for key in keys}
    assert len(found) == len(keys), "nothing is kept under two keys"
    return found


def parts_of(done, name):
    return [it["part"] for it in done["requests"] if it["part"] and it["path"].endswith(f"/{name}") and it["method"] == "PUT"]


@ways
def test_files_of_every_size_are_archived_and_shown_equal(server, tmp_path, way):
    digests = {name: write_large(tmp_path / name, size, f"{way}/{name}") for name, size in SIZES.items()}
    done = programs.browser(
        server,
        tmp_path,
        "page_files.mjs",
        way=way,
        files=[str(tmp_path / name) for name in SIZES],
        check=list(SIZES),
        withinMs=180_000,
    )
    kept.staging_is_empty(server)
    assert archived(server) == digests
    assert {name: checked["is"] for name, checked in done["checked"].items()} == dict.fromkeys(SIZES, "equal")
    for name, size in SIZES.items():
        wanted = list(range(1, -(-size // PART) + 1)) if size > 16 * MIB else []
        assert parts_of(done, name) == wanted, f"each part of {name} once"
    asked = [it["path"] for it in done["requests"] if it["path"].startswith("/api/")]
    assert ("/api/credentials" in asked) == (way == "credentials")
    assert done["rows"] == len(SIZES)
    assert done["complaints"] == []


@ways
def test_fifty_files_at_once_are_all_archived_once(server, tmp_path, way):
    folder = tmp_path / "fifty"
    folder.mkdir()
    digests = {}
    for number in range(50):
        name = f"{number}.bin"
        digests[name] = write_large(folder / name, 17 * MIB if number in (7, 23) else number * 5_000, f"{way}/{number}")
    files = [str(folder / name) for name in digests]
    done = programs.browser(server, tmp_path, "page_files.mjs", way=way, files=files)
    kept.staging_is_empty(server)
    assert archived(server) == digests
    assert server.api.counts()["archived"] == 50
    assert done["complaints"] == []


def as_file_names():
    """The names that break clients, as far as a file can have them."""
    names = {name: key.strip("/").replace("/", "_") for name, key in AWKWARD_KEYS.items()}
    names = {name: text for name, text in names.items() if text not in (".", "..") and min(text) >= " "}
    return {name: text if len(text.encode()) <= 255 else text[:100] + ".txt" for name, text in names.items()}


def as_minted(name):
    """What a minted key has of a file's name: what stands behind a backslash, as Windows has them, and no space around."""
    return name.rsplit("\\")[-1].strip()


@ways
def test_awkward_names_go_as_they_are(server, tmp_path, way):
    folder = tmp_path / "awkward"
    folder.mkdir()
    digests = {}
    for name in as_file_names().values():
        body = some_bytes(2_000, f"{way}/{name}")
        (folder / name).write_bytes(body)
        digests[name] = sha256(body)
    files = [str(folder / name) for name in digests]
    digests = {as_minted(name): digest for name, digest in digests.items()}
    assert len(digests) == len(files) > 12
    # The page shows some of them in another writing, so what it counts is looked at and not the rows.
    done = programs.browser(server, tmp_path, "page_names.mjs", way=way, files=files)
    kept.staging_is_empty(server)
    assert archived(server) == digests
    assert done["complaints"] == []


def only_the_missing_parts_went(done, size=HALF):
    """Between them the two times sent every part, and the second none that the first knew to be there."""
    everything = set(range(1, -(-size // PART) + 1))
    before, after = done["before"], done["after"]
    assert len(before) >= 2 and set(before) < everything, done
    assert not set(before) & set(after), f"sent again: {done}"
    assert len(after) == len(set(after)), f"sent twice: {done}"
    # One may have arrived in the moment of the cut, its answer lost: it is on the list of parts and need not go again.
    assert len(everything - set(before) - set(after)) <= 1, done
    assert done["checked"]["is"] == "equal"


@ways
def test_after_a_reload_in_the_middle_only_the_missing_parts_are_sent(server, tmp_path, way):
    digest = write_large(tmp_path / "half.bin", HALF, way)
    done = programs.browser(server, tmp_path, "page_reload.mjs", way=way, file=str(tmp_path / "half.bin"))
    only_the_missing_parts_went(done)
    assert (done["created"], done["rows"]) == (1, 1)
    assert done["complaints"] == []
    kept.staging_is_empty(server)
    assert archived(server) == {"half.bin": digest}


@ways
def test_a_server_killed_in_the_middle_and_started_again_gets_the_missing_parts(server, tmp_path, way):
    digest = write_large(tmp_path / "half.bin", HALF, way)
    with programs.Conversation(server, tmp_path, "page_killed.mjs", way=way, file=str(tmp_path / "half.bin")) as page:
        page.hear("half")
        server.kill()
        page.answer()
        page.hear("waiting")
        server.start()
        page.answer()
        done = page.hear("done")
    only_the_missing_parts_went(done)
    kept.staging_is_empty(server)
    assert archived(server) == {"half.bin": digest}
    assert server.api.counts()["archived"] == 1


@ways
def test_ten_seconds_without_a_network_cost_no_part_that_was_there(server, tmp_path, way):
    digest = write_large(tmp_path / "half.bin", HALF, way)
    done = programs.browser(server, tmp_path, "page_offline.mjs", way=way, file=str(tmp_path / "half.bin"))
    assert done["meanwhile"] == [], "it was offline"
    only_the_missing_parts_went(done)
    kept.staging_is_empty(server)
    assert archived(server) == {"half.bin": digest}


def test_the_same_files_dropped_twice_are_noticed_and_sent_again_only_if_that_is_wished(server, tmp_path):
    names = ["one.txt", "two.txt"]
    for name in names:
        (tmp_path / name).write_bytes(some_bytes(1_000, name))
    done = programs.browser(server, tmp_path, "page_doubles.mjs", files=[str(tmp_path / name) for name in names])
    assert "one.txt" in done["said"] and "two.txt" in done["said"]
    assert done["complaints"] == []
    kept.staging_is_empty(server)
    s3 = server.s3()
    found = sorted(kept.sha256_in(s3, server.archive, key) for key in kept.keys(s3, server.archive))
    assert found == sorted(sha256_of_file(tmp_path / name) for name in [*names, "one.txt"])
