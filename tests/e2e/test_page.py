"""The page in a real browser, on the release program."""

import json
import urllib.request
from pathlib import Path

from harness import kept
from harness.content import MIB, sha256, some_bytes
from harness.mixed import png, table, zipped
from harness.tools import aws_environment, needed, run

JS = Path(__file__).parent.parent / "js"

FILES = {
    "photo & größe.png": png(40, 30, "page"),
    "sheet.csv": table(20, "page"),
    "packed.zip": zipped({"a.txt": b"a", "b/c.txt": b"c" * 1000}),
    "empty.txt": b"",
    "large.bin": some_bytes(20 * MIB, "page"),
    "page.html": b"<!doctype html><title>ran</title><script>document.title = 'ran'</script>",
}


def test_files_sent_on_the_page_are_archived_and_come_back_whole_in_a_browser(server, tmp_path):
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    asked = {
        "chromium": needed("chromium"),
        "page": server.web,
        "files": [str(tmp_path / name) for name in FILES],
    }
    answer = json.loads(run([needed("node"), JS / "page.mjs", json.dumps(asked)], aws_environment(server, tmp_path)))
    wanted = {name: sha256(data) for name, data in FILES.items()}
    assert answer["downloads"] == wanted
    assert answer["complaints"] == []
    assert answer["title"] != "ran"
    # The keys are made by the server; the name is their last part.
    s3 = server.s3()
    kept.staging_is_empty(server)
    archived = {key.rsplit("/")[-1]: kept.sha256_in(s3, server.archive, key) for key in kept.keys(s3, server.archive)}
    assert archived == wanted
    reports = {upload["key"].rsplit("/")[-1]: upload for upload in server.api.uploads()}
    assert reports["photo & größe.png"]["media_type"] == "image/png"
    assert reports["packed.zip"]["media_type"] == "application/zip"
    assert {name: upload["sha256"] for name, upload in reports.items()} == wanted


def test_an_uploaded_page_never_runs_on_our_origin(shared_server):
    body = FILES["page.html"]
    key = shared_server.api.put(body, len(body), filename="page.html", type="text/html")
    kept.archived_bytes_are(shared_server, {key: sha256(body)}, key)
    [upload] = shared_server.api.uploads(key=key)
    with urllib.request.urlopen(f"{shared_server.web}/api/uploads/{upload['id']}/content", timeout=60) as answer:
        assert answer.read() == body
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    with urllib.request.urlopen(shared_server.web, timeout=60) as answer:
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
