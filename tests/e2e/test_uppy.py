"""Stock Uppy and its S3 plugin, version 6, in Chromium: each of its modes works without a line of ours in the client."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import quote

import pytest

from harness import kept, programs
from harness.content import MIB, sha256, some_bytes
from harness.keys import now, presigned
from harness.wire import send

MODES = ["signRequest", "signRequestMinted", "getCredentials", "companionEndpoint"]
# What Uppy keeps to: S3's smallest part, and the last one shorter.
PART = 5 * MIB
SIZES = {"empty.bin": 0, "one byte + é.txt": 1, "small.png": 70_000, "large.bin": 3 * PART + 1_000}

modes = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def uppy(shared_server, tmp_path, prefix):
    """Sends files made here with Uppy in one of its modes; returns what became of them and their SHA-256 by name."""

    def run(mode, sizes, **how):
        bodies = {name: some_bytes(size, prefix + name) for name, size in sizes.items()}
        for name, body in bodies.items():
            (tmp_path / name).write_bytes(body)
        files = [str(tmp_path / name) for name in bodies]
        done = programs.browser(shared_server, tmp_path, "uppy.mjs", mode=mode, prefix=prefix, files=files, **how)
        return done, {name: sha256(body) for name, body in bodies.items()}

    return run


def parts_put(done):
    return [it["part"] for it in done["requests"] if it.get("method") == "PUT" and it["part"]]


def all_kept(server, done, digests):
    """Every file was sent and is in the archive under the key that Uppy was told, whole."""
    assert done["failed"] == [], done
    sent = {file["name"]: file["key"] for file in done["successful"]}
    assert sorted(sent) == sorted(digests)
    for name, key in sent.items():
        assert key.endswith(name), "the name is the last part of the key"
        kept.archived_bytes_are(server, {key: digests[name]}, key)
        [upload] = server.api.uploads(key=key)
        assert upload["state"] == "archived"
    return sent


@modes
@pytest.mark.parametrize("multipart", [False, True], ids=["single", "multipart"])
def test_uppy_sends_files_of_every_size(shared_server, uppy, mode, multipart):
    done, digests = uppy(mode, SIZES, multipart=multipart)
    keys = all_kept(shared_server, done, digests)
    # Uppy sends an empty file in one request whatever it was told; a part has at least one byte.
    expected = [1] * 2 + [1, 2, 3, 4] if multipart else []
    assert sorted(parts_put(done)) == sorted(expected)
    assert done["complaints"] == []
    for name, key in keys.items():
        [upload] = shared_server.api.uploads(key=key)
        assert upload["size"] == SIZES[name]
    if mode in ("signRequestMinted", "companionEndpoint"):
        date, ulid, _ = keys["small.png"].split("/", 2)
        assert len(date) == 10 and len(ulid) == 26, "the server minted the key"


@modes
def test_uppy_paused_in_the_middle_sends_only_the_parts_that_are_missing(shared_server, uppy, mode):
    done, digests = uppy(mode, {"paused.bin": 4 * PART + 1}, multipart=True, pauseAfter=2)
    all_kept(shared_server, done, digests)
    # It asks which parts are there, and sends each of the others once.
    assert parts_put(done) == [1, 2, 3, 4, 5]
    assert done["parts"] == [1, 2, 3, 4, 5]
    if mode == "companionEndpoint":
        lists = [it for it in done["requests"] if it["method"] == "GET" and it["path"].startswith("/api/s3/multipart/")]
        lists = [it for it in lists if it["path"].count("/") == 4]
    else:
        lists = [it for it in done["requests"] if it["method"] == "GET" and "uploadId" in it["query"]]
    assert [it["status"] for it in lists] == [200]


@pytest.mark.parametrize("mode", ["signRequest", "signRequestMinted", "getCredentials"])
def test_a_completion_whose_answer_is_lost_is_asked_for_again_and_answered(shared_server, uppy, mode):
    done, digests = uppy(mode, {"twice.bin": 2 * PART}, multipart=True, loseCompletion=True)
    assert [it["status"] for it in done["requests"] if "lost" in it] == [200], "the first one was done"
    all_kept(shared_server, done, digests)
    assert parts_put(done) == [1, 2], "no part is sent again"


def begun(server):
    """A multipart upload as Companion's client begins one."""
    return server.api.post("/api/s3/multipart", {"filename": "begun.bin", "type": "text/x-test"})


def put_part(server, upload, number, body):
    url = server.api.get(f"/api/s3/multipart/{upload['uploadId']}/{number}", key=upload["key"])["url"]
    answer = send("PUT", url, body=body)
    assert answer.status == 200, answer
    return answer.headers["etag"]


def test_companions_completion_may_be_asked_for_any_number_of_times(shared_server, prefix):
    upload = begun(shared_server)
    bodies = [some_bytes(PART, prefix), some_bytes(1_000, prefix)]
    parts = [
        {"PartNumber": number, "ETag": put_part(shared_server, upload, number, body)}
        for number, body in enumerate(bodies, start=1)
    ]
    path = f"/api/s3/multipart/{upload['uploadId']}"
    listed = shared_server.api.get(path, key=upload["key"])
    assert [(int(part["PartNumber"]), int(part["Size"])) for part in listed] == [(1, PART), (2, 1_000)]
    assert [part["ETag"].strip('"') for part in listed] == [part["ETag"].strip('"') for part in parts]

    def complete():
        return shared_server.api.post(f"{path}/complete?key={quoted(upload['key'])}", {"parts": parts})

    # At once, again, and after it is archived.
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: complete(), range(4)))
    kept.archived_bytes_are(shared_server, {upload["key"]: sha256(b"".join(bodies))}, upload["key"])
    answers.append(complete())
    for answer in answers:
        assert (answer["bucket"], answer["key"]) == ("staging", upload["key"])
        assert answer["location"]
    assert len(kept.versions(shared_server.s3(), "archive", upload["key"])) == 1
    assert [it["state"] for it in shared_server.api.uploads(key=upload["key"])] == ["archived"]


def quoted(key):
    return quote(key, safe="")


PARTS = 1_003


@pytest.fixture
def many_parts(shared_server):
    """An upload of more parts than one page of a list has; each of one byte, as a part may be until it is completed."""
    upload = begun(shared_server)
    s3 = shared_server.s3()
    where = {"Bucket": "staging", "Key": upload["key"], "UploadId": upload["uploadId"]}
    with ThreadPoolExecutor(8) as pool:
        etags = list(
            pool.map(lambda number: s3.upload_part(**where, PartNumber=number, Body=b"x")["ETag"], range(1, PARTS + 1))
        )
    yield upload | {"etags": etags}
    s3.abort_multipart_upload(**where)


def test_every_part_is_listed_though_there_are_more_than_a_thousand(shared_server, many_parts):
    key = many_parts["key"]
    listed = shared_server.api.get(f"/api/s3/multipart/{many_parts['uploadId']}", key=key)
    assert [int(part["PartNumber"]) for part in listed] == list(range(1, PARTS + 1))
    signed = shared_server.api.post("/api/s3/sign", {"method": "GET", "key": key, "uploadId": many_parts["uploadId"]})
    answer = send("GET", signed["url"], signed.get("headers"))
    assert answer.status == 200, answer
    assert answer.body.count(b"<PartNumber>") == PARTS
    assert b"<ListPartsResult" in answer.body
    # A client that pages goes on getting pages of a thousand, as S3 gives them.
    pages = list(
        shared_server.s3()
        .get_paginator("list_parts")
        .paginate(Bucket="staging", Key=key, UploadId=many_parts["uploadId"])
    )
    assert [part["ETag"] for page in pages for part in page["Parts"]] == many_parts["etags"]


@pytest.mark.parametrize("mode", ["signRequest", "companionEndpoint"])
def test_uppy_resuming_an_upload_of_more_than_a_thousand_parts_sends_none_of_them_again(
    shared_server, tmp_path, many_parts, mode
):
    upload = {"uploadId": many_parts["uploadId"], "key": many_parts["key"]}
    done = programs.browser(
        shared_server, tmp_path, "uppy.mjs", mode=mode, multipart=True, begun=[PARTS * PART + 1, upload]
    )
    assert parts_put(done) == [PARTS + 1]
    # Parts of one byte are no upload, so its completion is refused: what was asked for is what counts here.
    assert [file["name"] for file in done["failed"]] == ["begun.bin"]


def test_a_link_for_a_part_that_has_ended_is_refused_and_signed_again(shared_server, prefix):
    upload = begun(shared_server)
    url = shared_server.api.get(f"/api/s3/multipart/{upload['uploadId']}/1", key=upload["key"])["url"]
    assert send("PUT", url.replace("X-Amz-Expires=", "X-Amz-Expires=1"), body=b"x").status == 403
    plain = f"{shared_server.endpoint}/staging/{quoted(upload['key'])}?partNumber=1&uploadId={upload['uploadId']}"
    ended = presigned(shared_server.root, "PUT", plain, life_s=1, at=now() - timedelta(seconds=60))
    assert send("PUT", ended, body=b"x").code == "AccessDenied"
    put_part(shared_server, upload, 1, b"x")
    assert shared_server.api.delete(f"/api/s3/multipart/{upload['uploadId']}?key={quoted(upload['key'])}") == {}
