"""One key, several uploads: overwritten while in work, and copied back by hand."""

import pytest

from harness import kept
from harness.content import MIB, sha256, some_bytes, write_large
from harness.waiting import until


def archived_in_order(server, key):
    """The SHA-256 of the archive's versions of a key, oldest first."""
    s3 = server.s3()
    ids = [version for found, version in kept.versions(s3, server.archive, key, kinds=["Versions"]) if found == key]
    return [kept.sha256_in(s3, server.archive, key, version) for version in reversed(ids)]


def test_a_file_overwritten_while_its_first_version_is_in_work_is_archived_twice_in_order(server, tmp_path):
    s3 = server.s3()
    # Large enough that describing it takes longer than the second PUT.
    first = write_large(tmp_path / "first", 768 * MIB, "first")
    s3.upload_file(str(tmp_path / "first"), server.staging, "k")
    second = some_bytes(1_000, "second")
    until("the first version is in work", lambda: server.api.uploads(key="k", state="processing"))
    s3.put_object(Bucket=server.staging, Key="k", Body=second)
    assert server.api.uploads(key="k", state="processing"), "the second came while the first was in work"
    kept.staging_is_empty(server, "k", within_s=300)
    assert archived_in_order(server, "k") == [first, sha256(second)]
    assert kept.sha256_in(s3, server.archive, "k") == sha256(second)
    assert [upload["state"] for upload in server.api.uploads(key="k")] == ["archived", "archived"]


def test_many_versions_of_one_key_put_in_a_row_are_archived_in_the_order_they_were_answered(server):
    s3 = server.s3()
    bodies = [some_bytes(2_000, number) for number in range(50)]
    for body in bodies:
        s3.put_object(Bucket=server.staging, Key="k", Body=body)
    kept.staging_is_empty(server, "k")
    assert archived_in_order(server, "k") == [sha256(body) for body in bodies]


@pytest.mark.parametrize("by_hand", ["copy", "move"])
def test_a_file_brought_back_by_hand_from_archive_to_staging_is_processed_again(server, by_hand):
    s3 = server.s3()
    body = some_bytes(300_000, "again")
    s3.put_object(Bucket=server.staging, Key="k", Body=body)
    kept.archived_bytes_are(server, {"k": sha256(body)})
    s3.copy_object(Bucket=server.staging, Key="k", CopySource={"Bucket": server.archive, "Key": "k"})
    if by_hand == "move":
        s3.delete_object(Bucket=server.archive, Key="k")
    until("the second upload is finished", lambda: len(server.api.uploads(key="k", state="archived")) == 2)
    kept.staging_is_empty(server)
    # A move deletes after it copied, by name: the new version may be archived by then and is hidden under the
    # delete marker. Both versions are there whichever came first.
    assert archived_in_order(server, "k") == [sha256(body)] * 2
    if by_hand == "copy":
        assert kept.sha256_in(s3, server.archive, "k") == sha256(body)
