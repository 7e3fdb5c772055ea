"""A thousand mixed files: every one ends in the archive byte for byte, whichever way it came, killed in the middle or not."""

import json
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import pytest
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from harness import kept, mixed
from harness.api import Refused
from harness.tools import aws_environment, needed
from harness.waiting import until

COUNT = 1000
WRITERS = 8


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    made = mixed.write(tmp_path_factory.mktemp("files"), COUNT)
    assert len(made) == COUNT
    return made


def over_s3(server):
    """Sends files as an S3 client does that tries again until it has its answer."""
    s3 = server.s3(retries={"total_max_attempts": 1})

    def send(file):
        try:
            s3.upload_file(str(file.path), server.staging, file.name)
        except (Boto3Error, BotoCoreError, ClientError):
            return None
        return file.name

    return send


def over_the_api(server):
    """Sends files as the page does: a grant for a new key, then one PUT."""

    def send(file):
        try:
            with file.path.open("rb") as body:
                return server.api.put(body, file.size, filename=file.path.name)
        except (OSError, HTTPException, Refused):
            # Refused also where a restarted server has another admin token than the one just read.
            return None

    return send


def send_all(files, send, is_killed=False):
    """Sends every file from several threads; returns each by the key its sender was told.

    A server that is not killed must take each at once; of one that is, a sender asks again until it has its answer.
    """

    def send_one(file):
        return until(f"{file.name} is taken", lambda: send(file), within_s=120 if is_killed else 0)

    with ThreadPoolExecutor(WRITERS) as pool:
        return dict(zip(pool.map(send_one, files), files))


def everything_is_kept(server, sent):
    """Every file in the archive, staging empty, and the program's own account of it the same."""
    kept.archived_bytes_are(server, {key: file.sha256 for key, file in sent.items()}, within_s=600)
    status = json.loads(server.run("status", "--json", "--limit", "1000000").stdout)
    newest = {}
    for upload in status["uploads"]:
        newest.setdefault(upload["key"], upload)
    for key, file in sent.items():
        upload = newest[key]
        assert (upload["state"], upload["size"], upload["sha256"]) == ("archived", file.size, file.sha256), upload
        if file.media_type:
            assert upload["media_type"] == file.media_type, upload
    counts = status["counts"]
    assert counts["archived"] >= len(sent)
    assert (counts["processing"], counts["failed"]) == (0, 0), counts
    # A grant whose answer a kill swallowed is expected until it ends; nothing that came is left undone.
    assert [upload for upload in status["uploads"] if upload["state"] == "pending" and not upload["expected"]] == []
    assert status["oldest_unfinished"] is None


WAYS = pytest.mark.parametrize("way", [over_s3, over_the_api], ids=["s3", "signed-urls"])


@WAYS
def test_a_thousand_files_are_all_kept(server, files, way):
    sent = send_all(files, way(server))
    assert len(sent) == COUNT
    everything_is_kept(server, sent)
    assert server.api.counts()["archived"] == COUNT


@WAYS
def test_a_thousand_files_are_all_kept_though_the_server_is_killed_in_the_middle(server, files, way):
    send = way(server)
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(send_all, files, send, True)
        for share in (0.1, 0.5, 0.9):
            until(
                f"{share:.0%} of the files are archived",
                lambda share=share: sending.done() or server.api.counts()["archived"] >= share * COUNT,
                within_s=300,
            )
            server.kill()
            server.start()
        sent = sending.result()
    # A file whose answer the kill swallowed may have been sent and kept twice: under a key of its own each time,
    # or as two versions of one key. Neither may be lost, and what its sender was told is what is there.
    assert len(sent) == COUNT
    everything_is_kept(server, sent)


JS = Path(__file__).parent.parent / "js"


@pytest.mark.parametrize("kills", [(), (0.1, 0.5, 0.9)], ids=["undisturbed", "killed"])
def test_a_thousand_files_chosen_on_the_page_are_all_kept(server, files, kills, tmp_path):
    names = tmp_path / "files.json"
    names.write_text(json.dumps([str(file.path) for file in files]))
    asked = {"chromium": needed("chromium"), "page": server.web, "list": str(names)}
    s3 = server.s3()
    command = [needed("node"), JS / "send_on_page.mjs", json.dumps(asked)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=aws_environment(server, tmp_path)) as browser:
        for share in kills:
            until(
                f"{share:.0%} of the files are archived",
                lambda share=share: server.api.counts()["archived"] >= share * COUNT,
                within_s=300,
            )
            server.kill()
            server.start()
        # Each file has a key of its own, so as many as there are files are all files. The time is for a page that hangs:
        # other tests beside it leave a browser a fraction of a core.
        until("every file is archived", lambda: server.api.counts()["archived"] >= COUNT, within_s=900)
        browser.stdin.close()
    kept.staging_is_empty(server)
    with ThreadPoolExecutor(WRITERS) as pool:
        found = pool.map(lambda key: kept.sha256_in(s3, server.archive, key), kept.keys(s3, server.archive))
        assert Counter(found) == Counter(file.sha256 for file in files)
    counts = server.api.counts()
    # The key was minted for the file, so a second try whose first was kept is told apart and not kept twice.
    assert (counts["archived"], counts["processing"], counts["failed"], counts["late"]) == (COUNT, 0, 0, 0), counts
    assert kills or counts["duplicate"] == 0, counts
    assert [upload for upload in server.api.uploads(state="pending") if not upload["expected"]] == []
    assert len(kept.versions(s3, server.archive)) == COUNT
