"""The AWS SDK for JavaScript, version 3, by the small programs in `tests/js`."""

import json
from pathlib import Path

import pytest

from harness import kept
from harness.awkward import AWKWARD_KEYS
from harness.tools import aws_environment, needed, run

JS = Path(__file__).parent.parent / "js"


@pytest.fixture
def node(shared_server, tmp_path):
    """Runs one of the programs with a JSON of arguments; returns the JSON it prints."""
    environment = aws_environment(shared_server, tmp_path)
    return lambda name, **arguments: json.loads(run([needed("node"), JS / name, json.dumps(arguments)], environment))


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
