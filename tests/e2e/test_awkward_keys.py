"""Keys that break clients: each is stored, listed, signed and archived as the very same key."""

import urllib.request

import pytest

from harness import kept
from harness.api import Refused
from harness.awkward import AWKWARD_KEYS
from harness.content import sha256, some_bytes
from harness.tools import aws_environment, needed, run

awkward = pytest.mark.parametrize("key", AWKWARD_KEYS.values(), ids=AWKWARD_KEYS.keys())


@awkward
def test_an_awkward_key_is_archived_as_itself(shared_server, key):
    s3 = shared_server.s3()
    body = some_bytes(1_000, f"archived {key}")
    s3.put_object(Bucket="staging", Key=key, Body=body)
    kept.archived_bytes_are(shared_server, {key: sha256(body)}, key)
    assert key in kept.keys(s3, "archive", key)
    [upload] = shared_server.api.uploads(key=key)
    assert (upload["key"], upload["state"], upload["sha256"]) == (key, "archived", sha256(body))


@awkward
def test_an_awkward_key_is_listed_read_signed_copied_and_deleted(shared_server, plain_bucket, key):
    s3 = shared_server.s3()
    body = some_bytes(1_000, f"plain {key}")
    s3.put_object(Bucket=plain_bucket, Key=key, Body=body)
    assert kept.keys(s3, plain_bucket) == [key]
    assert s3.list_objects_v2(Bucket=plain_bucket, Prefix=key, Delimiter="/")["KeyCount"] == 1
    link = s3.generate_presigned_url("get_object", Params={"Bucket": plain_bucket, "Key": key}, ExpiresIn=60)
    with urllib.request.urlopen(link, timeout=60) as answer:
        assert answer.read() == body
    s3.copy_object(Bucket=plain_bucket, Key="copy", CopySource={"Bucket": plain_bucket, "Key": key})
    assert s3.get_object(Bucket=plain_bucket, Key="copy")["Body"].read() == body
    s3.delete_objects(Bucket=plain_bucket, Delete={"Objects": [{"Key": key}]})
    assert kept.keys(s3, plain_bucket) == ["copy"]


@awkward
def test_an_awkward_key_goes_through_the_pages_signed_url_or_is_refused_in_words(shared_server, key):
    body = some_bytes(1_000, f"page {key}")
    # A beginning of its own, so that it is not a second version of the key of another test.
    key = ("page " + key) if len(key.encode()) < 1_000 else "p" + key[1:]
    # Clients and proxies rewrite such URLs, so no browser is ever given one.
    rewritten = any(segment in (".", "..") for segment in key.split("/")) or any(c < " " for c in key)
    if rewritten:
        with pytest.raises(Refused) as refused:
            shared_server.api.put(body, len(body), key=key)
        assert refused.value.status == 400
        assert "must not have" in refused.value.detail
    else:
        assert shared_server.api.put(body, len(body), key=key) == key
        kept.archived_bytes_are(shared_server, {key: sha256(body)}, key)


def test_1025_bytes_are_too_long_for_a_key(shared_server, plain_bucket):
    s3 = shared_server.s3()
    with pytest.raises(s3.exceptions.ClientError) as refused:
        s3.put_object(Bucket=plain_bucket, Key="k" * 1025, Body=b"")
    assert refused.value.response["Error"]["Code"] == "KeyTooLongError"


@pytest.mark.parametrize("name", ["space", "plus", "percent", "unicode", "emoji", "two-slashes", "double-quotes"])
def test_the_aws_cli_copies_an_awkward_key_both_ways(shared_server, tmp_path, name):
    key = f"aws/{AWKWARD_KEYS[name]}"
    environment = aws_environment(shared_server, tmp_path)
    (tmp_path / "up").write_bytes(some_bytes(1_000, key))
    run([needed("aws"), "s3", "cp", "up", f"s3://staging/{key}"], environment, tmp_path)
    kept.archived_bytes_are(shared_server, {key: sha256(some_bytes(1_000, key))}, key)
    run([needed("aws"), "s3", "cp", f"s3://archive/{key}", "down"], environment, tmp_path)
    assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()
