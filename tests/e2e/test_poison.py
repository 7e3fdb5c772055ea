"""A file that cannot be processed is set aside with its reason, holds up nobody, and is retried by one command."""

import json

from harness import kept
from harness.content import MIB, sha256, some_bytes, write_large
from harness.waiting import until

SIZE = 512 * MIB


def test_a_file_that_cannot_be_read_fails_alone_and_one_retry_brings_it_home(make_server, tmp_path):
    server = make_server("--max-attempts", "2")
    digest = write_large(tmp_path / "poison", SIZE, "poison")
    with (tmp_path / "poison").open("rb") as body:
        server.s3().put_object(Bucket=server.staging, Key="poison", Body=body)
    # Killed before it was processed, its bytes taken away: what a broken disk would do.
    server.kill()
    [blob] = [path for path in server.data.rglob("blobs/*/*") if path.is_file() and path.stat().st_size >= SIZE]
    blob.rename(tmp_path / "elsewhere")
    server.start()

    def failed():
        return server.api.uploads(key="poison", state="failed")

    s3 = server.s3()
    good = {f"good/{number}": some_bytes(3_000, number) for number in range(50)}
    for key, body in good.items():
        s3.put_object(Bucket=server.staging, Key=key, Body=body)
    kept.archived_bytes_are(server, {key: sha256(body) for key, body in good.items()}, "good/")
    [upload] = until("the file is set aside", failed)
    assert upload["reason"], "the person who looks is told why"
    # Bytes that are gone are not tried for again, but an attempt that the kill cut off counts; whether one had begun is
    # chance.
    assert upload["attempts"] in (1, 2)
    shown = json.loads(server.run("status", "poison", "--json").stdout)["uploads"]
    assert [(it["state"], it["reason"]) for it in shown] == [("failed", upload["reason"])]
    assert kept.keys(s3, server.staging) == ["poison"], "it stays where it was, in nobody's way"
    assert kept.keys(s3, server.archive, "poison") == []

    # A restart changes nothing about it.
    server.kill()
    server.start()
    assert [it["reason"] for it in failed()] == [upload["reason"]]

    (tmp_path / "elsewhere").rename(blob)
    server.run("retry", "poison")
    kept.archived_bytes_are(server, {"poison": digest})
    [upload] = server.api.uploads(key="poison")
    assert upload["state"] == "archived"
    assert kept.versions(server.s3(), server.staging) == []
