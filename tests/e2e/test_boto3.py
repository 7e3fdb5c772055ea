"""boto3 and its transfer manager, as most Python programs use S3."""

import http.client
import io
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from harness import kept
from harness.content import GIB, MIB, sha256, some_bytes, write_large

SIZES = [0, 1, 4096, 128 * 1024, 128 * 1024 + 1, 5 * MIB, 16 * MIB]


@pytest.mark.parametrize("size", SIZES)
def test_every_size_put_in_one_request_is_archived(shared_server, prefix, size):
    body = some_bytes(size, prefix)
    shared_server.s3().put_object(Bucket="staging", Key=f"{prefix}one", Body=body)
    kept.archived_bytes_are(shared_server, {f"{prefix}one": sha256(body)}, prefix)


@pytest.mark.parametrize("size", SIZES)
def test_every_size_put_by_the_transfer_manager_is_archived(shared_server, prefix, size):
    body = some_bytes(size, prefix)
    # Parts of 5 MiB, the smallest there are, four at a time.
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    shared_server.s3().upload_fileobj(io.BytesIO(body), "staging", f"{prefix}parts", Config=config)
    kept.archived_bytes_are(shared_server, {f"{prefix}parts": sha256(body)}, prefix)


def test_one_gibibyte_is_archived_and_comes_back_whole(shared_server, prefix, tmp_path):
    digest = write_large(tmp_path / "large.bin", GIB, prefix)
    shared_server.s3().upload_file(str(tmp_path / "large.bin"), "staging", f"{prefix}large")
    kept.archived_bytes_are(shared_server, {f"{prefix}large": digest}, prefix, within_s=300)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_checksum_asked_for_is_kept_with_the_object(shared_server, prefix, plain_bucket, algorithm):
    s3 = shared_server.s3()
    body = some_bytes(70_000, prefix)
    put = s3.put_object(Bucket=plain_bucket, Key="sum", Body=body, ChecksumAlgorithm=algorithm)
    head = s3.head_object(Bucket=plain_bucket, Key="sum", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    s3.put_object(Bucket="staging", Key=f"{prefix}sum", Body=body, ChecksumAlgorithm=algorithm)
    kept.archived_bytes_are(shared_server, {f"{prefix}sum": sha256(body)}, prefix)
    head = s3.head_object(Bucket="archive", Key=f"{prefix}sum", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]


@pytest.mark.parametrize("mode", ["when_supported", "when_required"])
def test_both_of_botocores_checksum_modes_work(shared_server, prefix, mode):
    s3 = shared_server.s3(request_checksum_calculation=mode, response_checksum_validation=mode)
    body = some_bytes(16 * MIB, prefix)
    s3.put_object(Bucket="staging", Key=f"{prefix}one", Body=body)
    s3.upload_fileobj(io.BytesIO(body), "staging", f"{prefix}parts")
    digest = sha256(body)
    kept.archived_bytes_are(shared_server, {f"{prefix}one": digest, f"{prefix}parts": digest}, prefix)
    assert sha256(s3.get_object(Bucket="archive", Key=f"{prefix}one")["Body"].read()) == digest


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_wrong_checksum_is_refused_and_nothing_is_kept(shared_server, plain_bucket, algorithm):
    s3 = shared_server.s3()
    wrong = {"CRC32": "AAAAAA==", "SHA1": "A" * 27 + "=", "SHA256": "A" * 43 + "="}[algorithm]
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=plain_bucket, Key="wrong", Body=b"right", **{f"Checksum{algorithm}": wrong})
    assert refused.value.response["Error"]["Code"] in ("BadDigest", "InvalidRequest")
    assert kept.keys(s3, plain_bucket) == []


def put_without_headers(link, body):
    """As curl does it: the old signature covers the content type, which urllib would add."""
    at = urlsplit(link)
    connection = http.client.HTTPConnection(at.netloc, timeout=60)
    connection.request("PUT", f"{at.path}?{at.query}", body)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()


@pytest.mark.parametrize("signature", [None, "s3v4"], ids=["as-boto3-does-by-default", "s3v4"])
def test_links_for_putting_and_getting_work_without_any_key(shared_server, prefix, signature):
    s3 = shared_server.s3(signature_version=signature) if signature else shared_server.s3()
    body = some_bytes(20_000, prefix)
    where = {"Bucket": "staging", "Key": f"{prefix}a b+c%.bin"}
    link = s3.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
    assert ("X-Amz-Signature=" in link) == (signature == "s3v4"), "the signature asked for"
    put_without_headers(link, body)
    kept.archived_bytes_are(shared_server, {where["Key"]: sha256(body)}, prefix)
    link = s3.generate_presigned_url("get_object", Params=where | {"Bucket": "archive"}, ExpiresIn=60)
    with urllib.request.urlopen(link, timeout=60) as answer:
        assert sha256(answer.read()) == sha256(body)


@pytest.mark.parametrize("signature", [None, "s3v4"], ids=["as-boto3-does-by-default", "s3v4"])
def test_a_link_for_another_key_is_refused(shared_server, plain_bucket, signature):
    s3 = shared_server.s3(signature_version=signature) if signature else shared_server.s3()
    s3.put_object(Bucket=plain_bucket, Key="mine", Body=b"mine")
    s3.put_object(Bucket=plain_bucket, Key="yours", Body=b"yours")
    link = s3.generate_presigned_url("get_object", Params={"Bucket": plain_bucket, "Key": "mine"}, ExpiresIn=60)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(link.replace("/mine", "/yours"), timeout=60)
    assert refused.value.code == 403


def test_ranges_conditions_copies_and_deletes_work_in_a_plain_bucket(shared_server, plain_bucket):
    s3 = shared_server.s3()
    body = some_bytes(300_000, plain_bucket)
    put = s3.put_object(Bucket=plain_bucket, Key="a", Body=body, Metadata={"who": "me"}, ContentType="text/x-test")
    part = s3.get_object(Bucket=plain_bucket, Key="a", Range="bytes=100000-199999")
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert part["ContentRange"] == "bytes 100000-199999/300000"
    assert part["Body"].read() == body[100_000:200_000]
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=plain_bucket, Key="a", Body=b"no", IfNoneMatch="*")
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    s3.put_object(Bucket=plain_bucket, Key="a", Body=body + b"!", IfMatch=put["ETag"], Metadata={"who": "you"})
    s3.copy_object(Bucket=plain_bucket, Key="b c+d", CopySource={"Bucket": plain_bucket, "Key": "a"})
    copied = s3.get_object(Bucket=plain_bucket, Key="b c+d")
    assert (copied["Body"].read(), copied["Metadata"]) == (body + b"!", {"who": "you"})
    gone = s3.delete_objects(Bucket=plain_bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "b c+d"}, {"Key": "never"}]})
    assert sorted(entry["Key"] for entry in gone["Deleted"]) == ["a", "b c+d", "never"]
    assert kept.keys(s3, plain_bucket) == []


def test_pages_of_a_list_cover_every_key_once_and_in_order(shared_server, plain_bucket):
    s3 = shared_server.s3()
    names = sorted((f"{folder}/{number:03} é+%" for folder in "abc" for number in range(40)), key=str.encode)
    for name in names:
        s3.put_object(Bucket=plain_bucket, Key=name, Body=name.encode())
    for operation in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(operation).paginate(Bucket=plain_bucket, PaginationConfig={"PageSize": 7})
        assert [entry["Key"] for page in pages for entry in page.get("Contents", [])] == names
    page = s3.list_objects_v2(Bucket=plain_bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == ["a/", "b/", "c/"]


def test_versions_of_a_plain_bucket_are_kept_once_versioning_is_on(shared_server, plain_bucket):
    s3 = shared_server.s3()
    s3.put_bucket_versioning(Bucket=plain_bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=plain_bucket, Key="k", Body=b"first")["VersionId"]
    second = s3.put_object(Bucket=plain_bucket, Key="k", Body=b"second")["VersionId"]
    assert s3.delete_object(Bucket=plain_bucket, Key="k")["DeleteMarker"]
    assert kept.keys(s3, plain_bucket) == []
    assert s3.get_object(Bucket=plain_bucket, Key="k", VersionId=first)["Body"].read() == b"first"
    assert s3.get_object(Bucket=plain_bucket, Key="k", VersionId=second)["Body"].read() == b"second"
    assert len(kept.versions(s3, plain_bucket)) == 3


def test_a_multipart_upload_can_be_listed_resumed_and_aborted(shared_server, plain_bucket):
    s3 = shared_server.s3()
    where = {"Bucket": plain_bucket, "Key": "parts"}
    upload = where | {"UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    bodies = [some_bytes(5 * MIB, number) for number in (1, 2)]
    etags = [
        s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"] for number, body in enumerate(bodies, start=1)
    ]
    assert [part["ETag"] for part in s3.list_parts(**upload)["Parts"]] == etags
    assert [it["UploadId"] for it in s3.list_multipart_uploads(Bucket=plain_bucket)["Uploads"]] == [upload["UploadId"]]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert kept.sha256_in(s3, plain_bucket, "parts") == sha256(b"".join(bodies))
    other = where | {"UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    s3.upload_part(**other, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(**other)
    with pytest.raises(ClientError) as refused:
        s3.list_parts(**other)
    assert refused.value.response["Error"]["Code"] == "NoSuchUpload"
