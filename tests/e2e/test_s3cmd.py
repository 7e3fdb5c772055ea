"""s3cmd, the oldest of the command-line clients."""

from urllib.parse import urlsplit

import pytest

from harness import kept, tree
from harness.content import MIB, sha256_of_file, write_large
from harness.server import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from harness.tools import needed, run, without_aws_settings


@pytest.fixture
def s3cmd(shared_server, tmp_path):
    """Runs `s3cmd …` against the server, path style."""
    host = urlsplit(shared_server.endpoint).netloc
    settings = {
        "access_key": ACCESS_KEY_ID,
        "secret_key": SECRET_ACCESS_KEY,
        "host_base": host,
        "host_bucket": host,
        "use_https": "False",
        "encoding": "UTF-8",
    }
    config = tmp_path / "s3cfg"
    config.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    environment = without_aws_settings() | {"LC_ALL": "C.UTF-8", "HOME": str(tmp_path)}
    return lambda *words: run([needed("s3cmd"), "--config", config, "--no-progress", *words], environment, tmp_path)


def test_a_folder_put_to_staging_is_in_the_archive(shared_server, s3cmd, prefix, tmp_path):
    digests = tree.write(tmp_path / "up", prefix)
    s3cmd("put", "--recursive", "up/", f"s3://staging/{prefix}")
    kept.archived_bytes_are(shared_server, tree.under(prefix, digests), prefix)
    (tmp_path / "down").mkdir()
    s3cmd("get", "--recursive", f"s3://archive/{prefix}", "down/")
    assert tree.read(tmp_path / "down") == digests


def test_a_file_in_parts_put_to_staging_is_in_the_archive(shared_server, s3cmd, prefix, tmp_path):
    digest = write_large(tmp_path / "large.bin", 40 * MIB, prefix)
    s3cmd("put", "--multipart-chunk-size-mb", "15", "large.bin", f"s3://staging/{prefix}large.bin")
    kept.archived_bytes_are(shared_server, {f"{prefix}large.bin": digest}, prefix)


def test_a_plain_bucket_syncs_lists_and_removes(shared_server, s3cmd, tmp_path):
    s3 = shared_server.s3()
    s3cmd("mb", "s3://plain-s3cmd")
    digests = tree.write(tmp_path / "up", "s3cmd")
    s3cmd("sync", "up/", "s3://plain-s3cmd/all/")
    assert {key: kept.sha256_in(s3, "plain-s3cmd", key) for key in kept.keys(s3, "plain-s3cmd")} == tree.under(
        "all/", digests
    )
    assert "s3://plain-s3cmd/all/empty" in s3cmd("ls", "--recursive", "s3://plain-s3cmd/")
    s3cmd("get", "s3://plain-s3cmd/all/photos/large.bin", "large.bin")
    assert sha256_of_file(tmp_path / "large.bin") == digests["photos/large.bin"]
    s3cmd("del", "--recursive", "--force", "s3://plain-s3cmd/")
    assert kept.keys(s3, "plain-s3cmd") == []
    s3cmd("rb", "s3://plain-s3cmd")
