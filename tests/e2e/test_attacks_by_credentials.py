"""Attacks by somebody who was given credentials for one file: they open that file's place, and nothing else at all."""

from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from harness import every_operation, kept
from harness.api import Refused
from harness.content import sha256, some_bytes
from harness.keys import Key, presigned, signed_headers
from harness.refusals import refused
from harness.wire import send

# What may be done with the one key.
ALLOWED = {
    "put_object",
    "create_multipart_upload",
    "upload_part",
    "complete_multipart_upload",
    "abort_multipart_upload",
    "list_parts",
}
# One goes to a host of its own, named by the caller, the other is signed for another service (S3 Express).
ELSEWHERE = {"write_get_object_response", "list_directory_buckets"}
REFUSED = {"AccessDenied", "NotImplemented", "MethodNotAllowed", "403", "405", "501"}


@pytest.fixture(scope="module")
def victims(shared_server):
    """Objects of others in the archive and in a bucket of its own, with their versions."""
    s3 = shared_server.s3()
    s3.create_bucket(Bucket="victims")
    s3.put_bucket_versioning(Bucket="victims", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket="victims", Key="attacks/theirs", Body=b"theirs")["VersionId"]
    s3.put_object(Bucket="staging", Key="attacks/theirs", Body=b"theirs")
    kept.staging_is_empty(shared_server, "attacks/theirs")
    return {"Bucket": "victims", "Key": "attacks/theirs", "VersionId": version}


@pytest.fixture(scope="module")
def thief(shared_server, victims):
    """Credentials for the key `attacks/mine`."""
    return Key.of_grant(shared_server.api.credentials(key="attacks/mine"))


def everything(server):
    """All that an attack could have changed: buckets, their settings, and every version outside the thief's key."""
    s3 = server.s3()
    found = {"uploads": {}}
    for bucket in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        settings = [s3.get_bucket_versioning(Bucket=bucket).get("Status")]
        for read in (s3.get_bucket_cors, s3.get_bucket_lifecycle_configuration):
            try:
                answer = read(Bucket=bucket)
                settings.append({name: value for name, value in answer.items() if name != "ResponseMetadata"})
            except ClientError as error:
                settings.append(error.response["Error"]["Code"])
        versions = [it for it in kept.versions(s3, bucket, "attacks/") if it[0] != "attacks/mine"]
        found[bucket] = (settings, versions)
        uploads = s3.list_multipart_uploads(Bucket=bucket, Prefix="attacks/").get("Uploads", [])
        found["uploads"][bucket] = [it["Key"] for it in uploads if it["Key"] != "attacks/mine"]
    return found


TARGETS = {
    "their-own-key": {"Bucket": "staging", "Key": "attacks/mine"},
    "another-key": {"Bucket": "staging", "Key": "attacks/theirs"},
    "a-key-below-theirs": {"Bucket": "staging", "Key": "attacks/mine/more"},
    "a-key-that-theirs-begins-with": {"Bucket": "staging", "Key": "attacks/min"},
    "their-key-in-the-archive": {"Bucket": "archive", "Key": "attacks/mine"},
    "an-object-in-another-bucket": {"Bucket": "victims", "Key": "attacks/theirs"},
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_no_operation_that_boto3_knows_does_anything_but_put_the_one_file(shared_server, thief, target):
    s3 = shared_server.s3(thief, retries={"total_max_attempts": 1})
    before = everything(shared_server)
    allowed = ALLOWED if target == TARGETS["their-own-key"] else set()
    problems, tried = [], 0
    for method, arguments in every_operation.calls(s3, **target):
        if method in allowed | ELSEWHERE:
            continue
        tried += 1
        try:
            getattr(s3, method)(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in REFUSED:
                problems.append(f"{method}: refused with {code}, not because it is not allowed")
        else:
            problems.append(f"{method}: done")
    assert not problems, "\n".join(problems)
    assert tried > 100
    assert everything(shared_server) == before


ALSO = {
    "list_objects": lambda s3, theirs: s3.list_objects(Bucket="staging", Prefix="attacks/mine"),
    "list_objects_v2": lambda s3, theirs: s3.list_objects_v2(Bucket="staging", Prefix="attacks/mine"),
    "list_versions": lambda s3, theirs: s3.list_object_versions(Bucket="staging", Prefix="attacks/mine"),
    "list_uploads": lambda s3, theirs: s3.list_multipart_uploads(Bucket="staging", Prefix="attacks/mine"),
    "get_version": lambda s3, theirs: s3.get_object(**theirs),
    "head_version": lambda s3, theirs: s3.head_object(**theirs),
    "delete_version": lambda s3, theirs: s3.delete_object(**theirs),
    "delete_own": lambda s3, theirs: s3.delete_object(Bucket="staging", Key="attacks/mine"),
    "batch_delete": lambda s3, theirs: s3.delete_objects(
        Bucket="staging", Delete={"Objects": [{"Key": "attacks/mine"}, {"Key": "attacks/theirs"}]}
    ),
    "copy_theirs_to_mine": lambda s3, theirs: s3.copy_object(Bucket="staging", Key="attacks/mine", CopySource=theirs),
    "copy_mine_to_theirs": lambda s3, theirs: s3.copy_object(
        Bucket="staging", Key="attacks/theirs", CopySource={"Bucket": "staging", "Key": "attacks/mine"}
    ),
    "copy_mine_to_mine": lambda s3, theirs: s3.copy_object(
        Bucket="staging",
        Key="attacks/mine",
        CopySource={"Bucket": "staging", "Key": "attacks/mine"},
        MetadataDirective="REPLACE",
    ),
    "put_with_tags": lambda s3, theirs: s3.put_object(
        Bucket="staging", Key="attacks/mine", Body=b"x", Tagging="public=yes"
    ),
    "put_for_everybody": lambda s3, theirs: s3.put_object(
        Bucket="staging", Key="attacks/mine", Body=b"x", ACL="public-read"
    ),
    "put_locked": lambda s3, theirs: s3.put_object(
        Bucket="staging", Key="attacks/mine", Body=b"x", ObjectLockLegalHoldStatus="ON"
    ),
    "put_in_archive": lambda s3, theirs: s3.put_object(Bucket="archive", Key="attacks/mine", Body=b"x"),
    "put_by_another_case": lambda s3, theirs: s3.put_object(Bucket="staging", Key="attacks/MINE", Body=b"x"),
    "put_with_a_slash_before": lambda s3, theirs: s3.put_object(Bucket="staging", Key="/attacks/mine", Body=b"x"),
    "put_with_two_slashes": lambda s3, theirs: s3.put_object(Bucket="staging", Key="attacks//mine", Body=b"x"),
    "put_with_an_escape": lambda s3, theirs: s3.put_object(Bucket="staging", Key="attacks%2Fmine", Body=b"x"),
    "put_by_dots": lambda s3, theirs: s3.put_object(Bucket="staging", Key="attacks/mine/../theirs", Body=b"x"),
    "put_results": lambda s3, theirs: s3.put_object(Bucket="staging", Key="_results/attacks/mine", Body=b"x"),
}


@pytest.mark.parametrize("attack", ALSO.values(), ids=ALSO.keys())
def test_one_file_credentials_are_refused(shared_server, thief, victims, attack):
    before = everything(shared_server)
    s3 = shared_server.s3(thief, retries={"total_max_attempts": 1})
    with refused("AccessDenied", "403", "NotImplemented", "AccessControlListNotSupported"):
        attack(s3, victims)
    assert everything(shared_server) == before


def test_one_file_credentials_cannot_touch_the_parts_of_an_upload_of_another_key(shared_server, thief):
    root = shared_server.s3()
    theirs = {"Bucket": "staging", "Key": "attacks/in-parts"}
    theirs["UploadId"] = root.create_multipart_upload(**theirs)["UploadId"]
    etag = root.upload_part(**theirs, PartNumber=1, Body=b"part")["ETag"]
    s3 = shared_server.s3(thief)
    as_mine = theirs | {"Key": "attacks/mine"}
    parts = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    for attack in (
        lambda where: s3.list_parts(**where),
        lambda where: s3.upload_part(**where, PartNumber=1, Body=b"mine"),
        lambda where: s3.abort_multipart_upload(**where),
        lambda where: s3.complete_multipart_upload(**where, **parts),
    ):
        with refused("AccessDenied"):
            attack(theirs)
        # The upload id of another key is none of this key.
        with refused("NoSuchUpload"):
            attack(as_mine)
    assert [part["ETag"] for part in root.list_parts(**theirs)["Parts"]] == [etag]
    root.abort_multipart_upload(**theirs)


def test_one_file_credentials_cannot_call_sts(shared_server, thief):
    sts = shared_server.client("sts", thief, retries={"total_max_attempts": 1})
    role = {"RoleArn": "arn:aws:iam::000000000000:role/two-buckets-uploader", "RoleSessionName": "more"}
    for attack in (
        lambda: sts.assume_role(**role),
        lambda: sts.assume_role(**role, DurationSeconds=3600, Policy='{"Version":"2012-10-17","Statement":[]}'),
        lambda: sts.get_session_token(),
        lambda: sts.get_federation_token(Name="more"),
        lambda: sts.get_caller_identity(),
    ):
        with refused("AccessDenied", "InvalidAction", "NotImplemented"):
            attack()


PATTERNS = {
    "star": ("*", ["anything", "attacks/theirs", "a"]),
    "a-and-star": ("a*", ["ab", "attacks/theirs", "a"]),
    "a-and-one": ("a?", ["ab", "a/"]),
    "all-stars": ("**", ["*", "x"]),
    "folder-star": ("attacks/*", ["attacks/theirs", "attacks/"]),
    "user-name": ("${aws:username}", ["two-buckets-uploader", "anonymous", "${aws:userid}"]),
    "user-id": ("${aws:userid}", ["root", "000000000000"]),
    "escaped-star": ("${*}", ["*", "x", "{*}"]),
    "escaped-question": ("${?}", ["?", "x"]),
    "escaped-dollar": ("${$}", ["$", "x"]),
    "quote": ('x","arn:aws:s3:::*', ["x", "anything"]),
    "backslash": ("x\\", ["x", "x/", "anything"]),
    "braces": ("{*}", ["{}", "{x}"]),
    "escaped-slash": ("a\\u002a", ["a*", "ab"]),
}


@pytest.mark.parametrize(("key", "others"), PATTERNS.values(), ids=PATTERNS.keys())
def test_credentials_for_a_key_that_looks_like_a_pattern_open_that_key_and_no_other(shared_server, prefix, key, others):
    # Without the prefix the pattern stands alone, as the tutorial's hole has it; with it, keys of other tests are safe.
    for before in ("", prefix.replace("[", "(").replace("]", ")")):
        grant = shared_server.api.credentials(key=before + key)
        assert grant["key"] == before + key
        s3 = shared_server.s3(Key.of_grant(grant))
        for other in [before + other for other in others] + ["x" + before + key, before + key + "x"]:
            with refused("AccessDenied"):
                s3.put_object(Bucket="staging", Key=other, Body=b"not theirs")
            with refused("AccessDenied"):
                s3.create_multipart_upload(Bucket="staging", Key=other)
        body = some_bytes(1_000, before + key)
        s3.put_object(Bucket="staging", Key=before + key, Body=body)
        kept.archived_bytes_are(shared_server, {before + key: sha256(body)}, before + key)


REFUSED_KEYS = {
    "empty": "",
    "parent": "a/../b",
    "leading-parent": "../b",
    "dot": "a/./b",
    "leading-slash": "/a",
    "results": "_results/x",
    "late": "_late/x",
    "line-break": "a\nb",
    "nul": "a\0b",
    "over-long": "k" * 1025,
    "over-long-in-bytes": "ä" * 513,
    "giant": "k" * 100_000,
}


@pytest.mark.parametrize("route", ["signedurl", "credentials", "form"])
@pytest.mark.parametrize("key", REFUSED_KEYS.values(), ids=REFUSED_KEYS.keys())
def test_no_grant_is_made_for_a_key_that_no_upload_may_have(shared_server, key, route):
    with pytest.raises(Refused) as no:
        shared_server.api.post(f"/api/{route}", {"key": key})
    assert no.value.status in (400, 413, 422)
    assert no.value.detail, "it says why"


@pytest.mark.parametrize("name", ["a/../../b", "..", "/etc/passwd", "a\nb", "_results/x", "*", "${aws:username}", "ä" * 600])
@pytest.mark.parametrize("route", ["signedurl", "credentials", "form"])
def test_a_file_name_never_leaves_its_minted_key(shared_server, name, route):
    try:
        grant = shared_server.api.post(f"/api/{route}", {"filename": name})
    except Refused as no:
        assert no.status == 400 and no.detail
        return
    date, ulid, last = grant["key"].split("/", 2)
    assert len(date) == 10 and len(ulid) == 26, grant["key"]
    assert "/" not in last and last not in ("", ".", "..") and len(grant["key"].encode()) <= 1024
    if route == "credentials":
        s3 = shared_server.s3(Key.of_grant(grant))
        for other in (f"{date}/{ulid}/another", f"{date}/{ulid}", f"{date}/x/{last}", f"{date}/{ulid}/{last}x"):
            with refused("AccessDenied"):
                s3.put_object(Bucket="staging", Key=other, Body=b"x", IfNoneMatch="*")


def changed_at(text, at):
    """The text with one character changed for another that may stand there."""
    at %= len(text)
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


FORGED = {
    "no-token": lambda thief, other: replace(thief, session_token=None),
    "another-secret": lambda thief, other: replace(thief, secret_access_key=other.secret_access_key),
    "the-token-of-another": lambda thief, other: replace(thief, session_token=other.session_token),
    "the-id-of-another": lambda thief, other: replace(thief, access_key_id=other.access_key_id),
    "own-id-with-the-rest-of-another": lambda thief, other: replace(other, access_key_id=thief.access_key_id),
    "a-longer-token": lambda thief, other: replace(thief, session_token=thief.session_token + "A"),
    "a-shorter-token": lambda thief, other: replace(thief, session_token=thief.session_token[:-1]),
    "half-a-token": lambda thief, other: replace(
        thief, session_token=thief.session_token[: len(thief.session_token) // 2]
    ),
    "two-tokens": lambda thief, other: replace(thief, session_token=thief.session_token + other.session_token),
    "not-a-token": lambda thief, other: replace(thief, session_token="x"),
    "spaces": lambda thief, other: replace(thief, session_token=f"{thief.session_token} {other.session_token}"),
    "giant": lambda thief, other: replace(thief, session_token="A" * 30_000),
    **{
        f"changed-at-{at}": lambda thief, other, at=at: replace(
            thief, session_token=changed_at(thief.session_token, at)
        )
        for at in (0, 1, 2, 5, 10, 20, 40, 80, -2, -10, -20, -40)
    },
}


@pytest.mark.parametrize("by", ["header", "query"])
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_forged_credentials_open_nothing(shared_server, thief, forge, by):
    other = Key.of_grant(shared_server.api.credentials(key="attacks/others"))
    forged = forge(thief, other)
    for key in ("attacks/mine", "attacks/others"):
        url = f"{shared_server.endpoint}/staging/{key}"
        if by == "header":
            answer = send("PUT", url, signed_headers(forged, "PUT", url), b"forged")
        else:
            answer = send("PUT", presigned(forged, "PUT", url), body=b"forged")
        assert 400 <= answer.status < 500, answer
        codes = {"InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"}
        # A giant one may be too much for the head of a request or for a header, before anybody looks at it.
        assert answer.code in codes or "A" * 30_000 == forged.session_token, answer


def test_the_root_key_with_a_session_token_is_not_the_root(shared_server, thief):
    mixed = replace(shared_server.root, session_token=thief.session_token)
    with refused("InvalidToken", "InvalidAccessKeyId"):
        shared_server.s3(mixed).put_object(Bucket="staging", Key="attacks/mine", Body=b"x")


def test_a_token_left_out_of_the_signature_is_refused(shared_server, thief):
    url = f"{shared_server.endpoint}/staging/attacks/mine"
    headers = signed_headers(replace(thief, session_token=None), "PUT", url)
    answer = send("PUT", url, headers | {"x-amz-security-token": thief.session_token}, b"x")
    assert answer.status == 403, answer
    # S3 lets a URL carry the token after it was signed for some services; not for this one.
    link = presigned(replace(thief, session_token=None), "PUT", url)
    answer = send("PUT", f"{link}&X-Amz-Security-Token={thief.session_token}", body=b"x")
    assert answer.status in (400, 403), answer


def test_a_token_in_header_and_query_at_once_is_refused(shared_server, thief):
    url = f"{shared_server.endpoint}/staging/attacks/mine"
    link = presigned(thief, "PUT", url)
    answer = send("PUT", link, {"x-amz-security-token": thief.session_token}, b"x")
    assert answer.status in (400, 403), answer


def test_prefix_credentials_write_below_their_prefix_and_nowhere_else(shared_server):
    given = shared_server.api.get("/api/s3/sts")
    below = given["prefix"]
    assert below.endswith("/") and len(below) >= 20
    assert shared_server.api.get("/api/s3/sts")["prefix"] != below
    who = Key.of_sts(given)
    s3 = shared_server.s3(who)
    body = some_bytes(1_000, below)
    s3.put_object(Bucket="staging", Key=f"{below}a/b c+é.bin", Body=body)
    kept.archived_bytes_are(shared_server, {f"{below}a/b c+é.bin": sha256(body)}, below)
    beside = below.rstrip("/")
    for key in (beside, f"{beside}x/a", f"{beside[:-1]}/a", f"x{below}a", f"{below}a"[1:], "a", f"_results/{below}a"):
        with refused("AccessDenied"):
            s3.put_object(Bucket="staging", Key=key, Body=b"x")
    for attack in (
        lambda: s3.get_object(Bucket="staging", Key=f"{below}a/b c+é.bin"),
        lambda: s3.list_objects_v2(Bucket="staging", Prefix=below),
        lambda: s3.delete_object(Bucket="staging", Key=f"{below}a/b c+é.bin"),
        lambda: s3.put_object(Bucket="archive", Key=f"{below}a", Body=b"x"),
        lambda: shared_server.client("sts", who).get_caller_identity(),
    ):
        with refused("AccessDenied"):
            attack()
