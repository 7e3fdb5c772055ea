"""A page written as the tutorial's, with both of its ways to send a file, and a form without a script: in Chromium."""

import pytest

from harness import kept, programs
from harness.content import MIB, sha256, some_bytes


def files_for(tmp_path, names_and_sizes, seed):
    digests = {}
    for name, size in names_and_sizes.items():
        body = some_bytes(size, f"{seed}/{name}")
        (tmp_path / name).write_bytes(body)
        digests[name] = sha256(body)
    return digests


@pytest.fixture
def tutorial(server, tmp_path):
    return lambda **files: programs.browser(server, tmp_path, "tutorial.mjs", files=files)


def test_the_tutorials_page_sends_files_in_both_of_its_ways(server, tmp_path, tutorial):
    # The tutorial keeps a file under its own name; a file of no known type has the type "".
    by_url = files_for(tmp_path, {"photo 1 + é.png": 100_000, "notes.txt": 10, "of no type": 2_000, "big.bin": 6 * MIB}, "url")
    by_credentials = files_for(tmp_path, {"photo 2 + é.png": 100_000, "none of 'these' (1).csv": 0, "parts.bin": 11 * MIB}, "keys")
    done = tutorial(
        bySignedUrl=[str(tmp_path / name) for name in by_url],
        byCredentials=[str(tmp_path / name) for name in by_credentials],
    )
    assert set(done["statuses"].values()) == {200}, done
    assert done["complaints"] == []
    kept.archived_bytes_are(server, by_url | by_credentials)
    heads = {name: server.s3().head_object(Bucket="archive", Key=name) for name in ("photo 1 + é.png", "photo 2 + é.png")}
    assert {head["ContentType"] for head in heads.values()} == {"image/png"}


def test_the_tutorials_page_cannot_be_used_from_another_origin(server, tmp_path, make_server):
    # The same page, served by somebody else: the browser asks, and is not allowed.
    body = some_bytes(1_000, "foreign")
    (tmp_path / "foreign.bin").write_bytes(body)
    other = make_server()
    done = programs.browser(server, tmp_path, "foreign_origin.mjs", file=str(tmp_path / "foreign.bin"), from_=other.web)
    assert done["api"] == {name: "refused" for name in done["api"]}, done
    assert done["s3"] == {name: "refused" for name in done["s3"]}, done
    assert done["own"] == "done", "what is refused to the other works on the page's own origin"
    assert kept.keys(server.s3(), "archive", "foreign") == []


def test_a_plain_html_form_sends_a_file(server, tmp_path):
    digests = files_for(tmp_path, {"form + é.bin": 50_000, "empty.txt": 0, "large.bin": 6 * MIB}, "form")
    files = [
        {"path": str(tmp_path / name), "wanted": {"key": f"forms/{name}"} if name != "large.bin" else {"filename": name}}
        for name in digests
    ]
    answers = programs.browser(server, tmp_path, "html_form.mjs", files=files)
    assert {answer["status"] for answer in answers} <= {200, 201, 204}, answers
    kept.archived_bytes_are(server, {answer["key"]: digest for answer, digest in zip(answers, digests.values())})


def test_a_plain_html_form_cannot_send_a_larger_file_than_was_granted(server, tmp_path):
    files_for(tmp_path, {"larger.bin": 5_001}, "form")
    files = [{"path": str(tmp_path / "larger.bin"), "wanted": {"key": "forms/larger.bin", "size_max": 5_000}}]
    [answer] = programs.browser(server, tmp_path, "html_form.mjs", files=files)
    assert answer["status"] == 400
    assert kept.keys(server.s3(), "archive", "forms/larger") == []
