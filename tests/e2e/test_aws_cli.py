"""The AWS CLI, as installed by anybody."""

import urllib.request

import pytest

from harness import kept, tree
from harness.content import MIB, sha256_of_stream, some_bytes, write_large
from harness.tools import aws_environment, needed, run


@pytest.fixture
def aws(shared_server, tmp_path):
    """Runs `aws …` against the server."""
    home = tmp_path / "home"
    home.mkdir()
    environment = aws_environment(shared_server, home)
    return lambda *words, **how: run([needed("aws"), *words], environment, tmp_path, **how)


def test_a_file_copied_to_staging_is_in_the_archive_and_comes_back_whole(shared_server, aws, prefix, tmp_path):
    (tmp_path / "up.bin").write_bytes(some_bytes(100_000, prefix))
    digest = tree.sha256_of_file(tmp_path / "up.bin")
    aws("s3", "cp", "up.bin", f"s3://staging/{prefix}up.bin")
    kept.archived_bytes_are(shared_server, {f"{prefix}up.bin": digest}, prefix)
    aws("s3", "cp", f"s3://archive/{prefix}up.bin", "down.bin")
    assert tree.sha256_of_file(tmp_path / "down.bin") == digest


def test_a_folder_synced_to_staging_is_in_the_archive_and_syncs_back(shared_server, aws, prefix, tmp_path):
    digests = tree.write(tmp_path / "up", prefix)
    aws("s3", "sync", "up", f"s3://staging/{prefix}")
    kept.archived_bytes_are(shared_server, tree.under(prefix, digests), prefix)
    aws("s3", "sync", f"s3://archive/{prefix}", "down")
    assert tree.read(tmp_path / "down") == digests


def test_an_empty_file_does_not_hold_up_the_next_one_on_its_connection(shared_server, aws, prefix, tmp_path):
    # A sync of a folder with an empty file took a minute. The client asks `Expect: 100-continue` before each file; an
    # empty one was answered at once, as HTTP allows, and the client then took the next answer for a part of that one.
    (tmp_path / "up").mkdir()
    for number in range(4):
        (tmp_path / "up" / f"{number}").write_bytes(b"x" * (number % 2))
    aws("configure", "set", "default.s3.max_concurrent_requests", "1")
    aws("s3", "sync", "up", f"s3://staging/{prefix}", within_s=30)
    kept.archived_bytes_are(shared_server, tree.under(prefix, tree.read(tmp_path / "up")), prefix)


def test_a_100_mib_file_goes_up_in_parts_and_is_in_the_archive(shared_server, aws, prefix, tmp_path):
    digest = write_large(tmp_path / "large.bin", 100 * MIB, prefix)
    aws("s3", "cp", "large.bin", f"s3://staging/{prefix}large.bin")
    kept.archived_bytes_are(shared_server, {f"{prefix}large.bin": digest}, prefix)
    etag = shared_server.s3().head_object(Bucket="archive", Key=f"{prefix}large.bin")["ETag"]
    assert etag.strip('"').endswith("-13"), "it went up in 13 parts of 8 MiB, and the archive remembers"


def test_a_file_moved_to_staging_is_in_the_archive_and_no_longer_here(shared_server, aws, prefix, tmp_path):
    (tmp_path / "up.bin").write_bytes(some_bytes(5_000, prefix))
    digest = tree.sha256_of_file(tmp_path / "up.bin")
    aws("s3", "mv", "up.bin", f"s3://staging/{prefix}moved.bin")
    assert not (tmp_path / "up.bin").exists()
    kept.archived_bytes_are(shared_server, {f"{prefix}moved.bin": digest}, prefix)


def test_a_plain_bucket_copies_syncs_moves_lists_and_removes(shared_server, aws, tmp_path):
    s3 = shared_server.s3()
    digests = tree.write(tmp_path / "up", "plain")
    aws("s3", "mb", "s3://plain-aws-cli")
    aws("s3", "sync", "up", "s3://plain-aws-cli/all/")
    assert {key: kept.sha256_in(s3, "plain-aws-cli", key) for key in kept.keys(s3, "plain-aws-cli")} == tree.under(
        "all/", digests
    )
    # Nothing changed, so nothing is sent: sizes and times agree with what sync expects.
    assert "upload:" not in aws("s3", "sync", "up", "s3://plain-aws-cli/all/")
    aws("s3", "mv", "s3://plain-aws-cli/all/photos/large.bin", "s3://plain-aws-cli/elsewhere/large.bin")
    assert kept.keys(s3, "plain-aws-cli", "all/photos/large") == []
    assert kept.sha256_in(s3, "plain-aws-cli", "elsewhere/large.bin") == digests["photos/large.bin"]
    assert "PRE all/" in aws("s3", "ls", "s3://plain-aws-cli/")
    aws("s3", "rm", "s3://plain-aws-cli/all/empty")
    assert "all/empty" not in kept.keys(s3, "plain-aws-cli")
    aws("s3", "rm", "--recursive", "s3://plain-aws-cli/")
    assert kept.keys(s3, "plain-aws-cli") == []
    aws("s3", "rb", "s3://plain-aws-cli")
    assert "plain-aws-cli" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_a_presigned_link_gives_the_file_to_anybody(shared_server, aws, prefix, tmp_path):
    (tmp_path / "up.bin").write_bytes(some_bytes(10_000, prefix))
    digest = tree.sha256_of_file(tmp_path / "up.bin")
    aws("s3", "cp", "up.bin", f"s3://staging/{prefix}a+b c.bin")
    kept.staging_is_empty(shared_server, prefix)
    link = aws("s3", "presign", f"s3://archive/{prefix}a+b c.bin", "--expires-in", "60").strip()
    with urllib.request.urlopen(link, timeout=60) as answer:
        assert sha256_of_stream(answer) == digest
