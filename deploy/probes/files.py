"""Files, and what became of all that were put."""

import time

import botocore.exceptions

from probes.run import Put, sha256
from probes.stack import code

# What clients, lists, event JSON and signatures are known to break. Keys with `..` are refused by the uploaders' roles.
AWKWARD = ["a key with  spaces.txt", "1+1=2.txt", "a%20b%2Fc.txt", "grüße/日本語.txt", "👩‍👧 photo.jpg", "two//slashes", "what?x=1&y=2#part;z.txt", "<a href='x'>&amp;</a>", "\"quoted\" it's", "ä" * 400]
# The least that a part of several may have (S3 API, UploadPart).
PART = 5 << 20


def put_files(run, files):
    """Puts one of everything."""
    for number in range(files):
        run.put(f"small/{number:04}", f"{run.prefix}{number}".encode() * (number % 50))
    for name in AWKWARD:
        run.put(f"awkward/{name}", name.encode())
    run.put("twice/changed", b"the first")
    run.put("twice/changed", b"the second, put while the first may be in work")
    run.put("twice/same", b"one content")
    run.put("twice/same", b"one content")
    run.puts.append(put_in_parts(run, begin_in_parts(run, "in parts", [b"p" * PART, b"and a last one"])))


def begin_in_parts(run, name, parts):
    """Sends a file in parts, all but the last call."""
    s3, key = run.stack.s3, run.prefix + name
    upload = s3.create_multipart_upload(Bucket=run.stack.staging, Key=key)["UploadId"]
    named = {"Bucket": run.stack.staging, "Key": key, "UploadId": upload}
    done = [{"PartNumber": number, "ETag": s3.upload_part(**named, PartNumber=number, Body=part)["ETag"]} for number, part in enumerate(parts, 1)]
    return named | {"MultipartUpload": {"Parts": done}}, sha256(b"".join(parts))


def put_in_parts(run, begun):
    """Makes a file of the parts that were sent."""
    asked, digest = begun
    written = run.stack.s3.complete_multipart_upload(**asked)
    return Put(asked["Key"], written.get("VersionId"), digest)


def settled(run):
    """Waits until every put has ended; gives the rows of those that did, by their version, and what is left in staging."""
    rows, deadline = {}, time.monotonic() + run.within_s
    while True:
        for put in run.puts:
            if put.version not in rows and (row := run.ended(put)):
                rows[put.version] = row
        left = left_in_staging(run)
        if (len(rows) == len(run.puts) and not left) or time.monotonic() > deadline:
            return rows, left
        run.pause()


def left_in_staging(run):
    """The versions and delete markers that should not stay there."""
    versions, markers = run.made(run.stack.staging)
    stays = {put.version for put in run.puts if put.must_fail}
    return [version for version in versions + markers if version["VersionId"] not in stays]


def check_files(run, rows, left):
    """What became of the files."""
    stack, report = run.stack, run.report
    puts = [put for put in run.puts if not put.must_fail]
    failed = [rows[put.version] for put in puts if put.version in rows and rows[put.version]["state"] == "failed"]
    report.claim("every write has a version id", (f"{put.key!r} has {put.version}" for put in run.puts if put.version in (None, "null")))
    report.claim("every upload has ended and is in the ledger", (f"{put.key!r}: not in time" for put in run.puts if put.version not in rows))
    report.claim("no upload failed", (f"{row['key']!r}: {row.get('reason')}" for row in failed))
    report.claim("nothing is left in staging", (f"{version['Key']!r} {version['VersionId']}" for version in left if version["VersionId"] != run.marker))
    there = {(version["Key"], version["VersionId"]) for version in run.made(stack.archive)[0] + run.late()}
    recorded = {}
    for put in puts:
        row = rows.get(put.version, {})
        if "archive_version_id" in row and row["state"] != "duplicate":
            recorded[put.version] = (row.get("archive_key", row["key"]), row["archive_version_id"])
    report.claim(
        "what is recorded is in the archive, once each",
        [f"{key!r} {version}: recorded and not there" for key, version in set(recorded.values()) - there]
        + [f"{key!r} {version}: there and not recorded" for key, version in there - set(recorded.values())]
        + (["two uploads have one record"] if len(set(recorded.values())) < len(recorded) else []),
    )
    report.claim(
        "every archived version has the bytes that were put",
        (f"{put.key!r}" for put in puts if put.version in recorded and stack.digest(*recorded[put.version]) != put.sha256),
    )
    last = {put.key: put.sha256 for put in puts}
    report.claim("the current version of each key is the last that was put", (f"{key!r}" for key, sha256 in last.items() if stack.digest(key) != sha256))


def clean(run):
    """Removes what was made, from the archive too; of the ledger only its history's end does."""
    stack, problems = run.stack, []
    made = {stack.staging: sum(run.made(stack.staging), []), stack.archive: sum(run.made(stack.archive), []) + run.late() + run.results()}
    for bucket, versions in made.items():
        for version in versions:
            try:
                stack.s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
            except botocore.exceptions.ClientError as error:
                problems.append(f"{bucket} {version['Key']!r}: {code(error)}")
    run.report.claim("what this made is removed", problems)
