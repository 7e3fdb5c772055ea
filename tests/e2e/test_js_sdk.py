"""The AWS SDK for JavaScript, version 3, by the small programs in `tests/js`."""

import pytest

from harness import kept, programs
from harness.awkward import AWKWARD_KEYS
from harness.content import MIB


@pytest.fixture
def node(shared_server, tmp_path):
    """Runs one of the programs with a JSON of arguments; returns the JSON it prints."""
    return lambda name, **arguments: programs.node(shared_server, tmp_path, name, **arguments)


def test_awkward_keys_put_to_staging_are_in_the_archive(shared_server, node):
    keys = [f"js/{key}" if len(key.encode()) < 1000 else f"j{key[1:]}" for key in AWKWARD_KEYS.values()]
    digests = node("put.mjs", bucket="staging", keys=keys)
    assert sorted(digests) == sorted(keys)
    kept.archived_bytes_are(shared_server, digests)


def test_parts_and_signed_links_put_to_staging_are_in_the_archive(shared_server, node, prefix):
    digests = node("parts_and_links.mjs", bucket="staging", prefix=prefix, partsSize=16 << 20)
    assert len(digests) == 2
    kept.archived_bytes_are(shared_server, digests, prefix)


def test_a_plain_bucket_gives_back_what_was_put_and_lists_it(node, plain_bucket):
    keys = list(AWKWARD_KEYS.values())
    node("put.mjs", bucket=plain_bucket, keys=keys)
    answer = node("get_list_delete.mjs", bucket=plain_bucket, keys=keys)
    assert sorted(answer["listed"]) == sorted(keys)
    assert answer["left"] == []


def test_lib_storage_sends_files_whole_and_in_parts_with_credentials_for_that_file_alone(shared_server, node, prefix):
    sizes = [0, 1, 4 * MIB, 5 * MIB, 5 * MIB + 1, 17 * MIB]
    files = [{"size": size, "minted": minted} for size in sizes for minted in (False, True)]
    answer = node("one_file_credentials.mjs", prefix=prefix, files=files)
    assert len(answer["digests"]) == len(files)
    assert answer["refused"] == ["AccessDenied"] * 2 * len(files)
    for key, digest in answer["digests"].items():
        kept.archived_bytes_are(shared_server, {key: digest}, key)


def test_presigned_posts_are_taken_within_their_conditions_and_refused_beyond(shared_server, node, prefix):
    done = node("presigned_post.mjs", bucket="staging", prefix=prefix)
    answers = done["answers"]
    statuses = {name: answer["status"] for name, answer in answers.items()}
    assert statuses == {
        "root": 204,
        "oneFile": 204,
        "created": 201,
        "byName": 204,
        "tooLarge": 400,
        "anotherKey": 403,
        "ours": 204,
    }, answers
    assert "EntityTooLarge" in answers["tooLarge"]["text"]
    assert "<PostResponse>" in answers["created"]["text"]
    taken = ["by root.bin", "posted + é.bin", "created.bin", "folder/größe + name.bin", "ours.bin"]
    kept.archived_bytes_are(shared_server, {prefix + name: done["sha256"] for name in taken}, prefix)
    assert sorted(kept.keys(shared_server.s3(), "archive", prefix)) == sorted(prefix + name for name in taken)
    head = shared_server.s3().head_object(Bucket="archive", Key=f"{prefix}by root.bin")
    assert head["ContentType"] == "text/x-two-buckets"


def test_every_request_of_a_multipart_upload_goes_by_a_link(shared_server, node, prefix):
    digests = node("presigned_parts.mjs", bucket="staging", prefix=prefix)
    assert len(digests) == 2
    kept.archived_bytes_are(shared_server, digests, prefix)
