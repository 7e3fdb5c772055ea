"""rclone, which looks at each object right after it put it and compares checksums."""

import pytest

from harness import kept, tree
from harness.content import MIB, write_large
from harness.server import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from harness.tools import needed, run, without_aws_settings


@pytest.fixture
def rclone(shared_server, tmp_path):
    """Runs `rclone …` with a remote named `two`."""
    environment = without_aws_settings() | {
        "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
        "RCLONE_CONFIG_TWO_TYPE": "s3",
        "RCLONE_CONFIG_TWO_PROVIDER": "Other",
        "RCLONE_CONFIG_TWO_ENDPOINT": shared_server.endpoint,
        "RCLONE_CONFIG_TWO_REGION": REGION,
        "RCLONE_CONFIG_TWO_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "RCLONE_CONFIG_TWO_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    }
    (tmp_path / "rclone.conf").touch()
    # One try only: a retry would hide a failure.
    return lambda *words: run([needed("rclone"), "--retries", "1", *words], environment, tmp_path)


def test_a_folder_copied_to_staging_is_in_the_archive(shared_server, rclone, prefix, tmp_path):
    digests = tree.write(tmp_path / "up", prefix)
    rclone("copy", "up", f"two:staging/{prefix}")
    kept.archived_bytes_are(shared_server, tree.under(prefix, digests), prefix)
    rclone("check", "--download", "up", f"two:archive/{prefix}")
    rclone("copy", f"two:archive/{prefix}", "down")
    assert tree.read(tmp_path / "down") == digests


def test_a_file_in_parts_copied_to_staging_is_in_the_archive(shared_server, rclone, prefix, tmp_path):
    (tmp_path / "up").mkdir()
    digest = write_large(tmp_path / "up" / "large.bin", 20 * MIB, prefix)
    rclone("copy", "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M", "up", f"two:staging/{prefix}")
    kept.archived_bytes_are(shared_server, {f"{prefix}large.bin": digest}, prefix)


def test_a_plain_bucket_syncs_checks_and_loses_what_was_removed_here(shared_server, rclone, plain_bucket, tmp_path):
    digests = tree.write(tmp_path / "up", plain_bucket)
    rclone("sync", "up", f"two:{plain_bucket}")
    rclone("check", "up", f"two:{plain_bucket}")
    (tmp_path / "up" / "photos" / "large.bin").unlink()
    rclone("sync", "up", f"two:{plain_bucket}")
    del digests["photos/large.bin"]
    s3 = shared_server.s3()
    assert {key: kept.sha256_in(s3, plain_bucket, key) for key in kept.keys(s3, plain_bucket)} == digests
    rclone("sync", f"two:{plain_bucket}", "down")
    assert tree.read(tmp_path / "down") == digests
