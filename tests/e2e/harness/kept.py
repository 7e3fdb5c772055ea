"""Whether files were kept: gone from staging, in the archive under the same key, byte for byte."""

from concurrent.futures import ThreadPoolExecutor

from harness.content import sha256_of_stream
from harness.waiting import until


def versions(s3, bucket, prefix="", kinds=("Versions", "DeleteMarkers")):
    """Every version in a bucket, delete markers included unless only `Versions` are asked for, as (key, version id)."""
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for kind in kinds:
            found += [(entry["Key"], entry["VersionId"]) for entry in page.get(kind, [])]
    return found


def keys(s3, bucket, prefix=""):
    """The keys of a bucket's current objects, in the order they were listed."""
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        found += [entry["Key"] for entry in page.get("Contents", [])]
    return found


def staging_is_empty(server, prefix="", within_s=120):
    """Waits until no version is left in staging."""
    s3 = server.s3()
    until(
        f"staging has nothing under {prefix!r}; uploads: {server.api.counts()}",
        lambda: not versions(s3, server.staging, prefix),
        within_s,
    )


def sha256_in(s3, bucket, key, version=None):
    """The SHA-256 of an object's bytes as they are read back."""
    which = {"VersionId": version} if version else {}
    return sha256_of_stream(s3.get_object(Bucket=bucket, Key=key, **which)["Body"])


def archived_bytes_are(server, expected, prefix="", within_s=120):
    """Waits for staging to drain, then reads every expected key back from the archive; `expected` maps keys to SHA-256."""
    staging_is_empty(server, prefix, within_s)
    s3 = server.s3()

    def wrong(item):
        key, digest = item
        try:
            found = sha256_in(s3, server.archive, key)
        except s3.exceptions.NoSuchKey:
            found = "not there"
        return None if found == digest else f"{key!r}: {found}, wanted {digest}"

    with ThreadPoolExecutor(8) as pool:
        problems = [problem for problem in pool.map(wrong, expected.items()) if problem]
    assert not problems, "\n".join(problems[:20])
