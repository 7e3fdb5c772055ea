"""Roles and temporary credentials through boto3: what STS gives, what it refuses, and what the credentials then open.

That they end with their time is shown in the tests of `s3-api`, which own the clock: the shortest life STS gives is 900 s.
"""

import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from boto3.s3.transfer import TransferConfig

from harness import kept
from harness.content import MIB, sha256, some_bytes
from harness.keys import Key, now, signed_headers
from harness.refusals import refused
from harness.wire import send

ROLE = "arn:aws:iam::000000000000:role/two-buckets-uploader"


def assume(server, policy=None, key=None, **wanted):
    """The answer to AssumeRole; a `policy` that is not text is written as JSON."""
    if policy is not None:
        wanted["Policy"] = policy if isinstance(policy, str) else json.dumps(policy)
    # What boto3 itself would not let through has to be refused by the server as well.
    sts = server.client("sts", key, parameter_validation=False)
    return sts.assume_role(**{"RoleArn": ROLE, "RoleSessionName": "tests"} | wanted)


def may(action, resource, **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def one_file(key):
    actions = ["s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
    return policy(may(actions, f"arn:aws:s3:::staging/{key}"))


def test_the_root_key_is_told_who_it_is(shared_server):
    answer = shared_server.client("sts").get_caller_identity()
    assert (answer["Account"], answer["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root")
    assert answer["UserId"]


@pytest.mark.parametrize("session_policy", [None, "one file"])
def test_the_uploader_role_is_assumed_and_its_credentials_put_a_file(shared_server, prefix, session_policy):
    answer = assume(shared_server, one_file(f"{prefix}a") if session_policy else None)
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/two-buckets-uploader/tests"
    assert answer["AssumedRoleUser"]["AssumedRoleId"].endswith(":tests")
    given = answer["Credentials"]
    assert given["AccessKeyId"].startswith("ASIA")
    # An hour, as AWS gives when no duration is asked for.
    assert timedelta(minutes=55) < given["Expiration"] - now() <= timedelta(minutes=60)
    s3 = shared_server.s3(Key.of_sts(answer))
    body = some_bytes(10_000, prefix)
    s3.put_object(Bucket="staging", Key=f"{prefix}a", Body=body)
    kept.archived_bytes_are(shared_server, {f"{prefix}a": sha256(body)}, prefix)
    if session_policy:
        with refused("AccessDenied"):
            s3.put_object(Bucket="staging", Key=f"{prefix}b", Body=body)


def test_a_session_policy_gives_nothing_that_the_role_does_not(shared_server, prefix):
    everything = policy(may("s3:*", "*"), may("sts:*", "*"))
    key = Key.of_sts(assume(shared_server, everything))
    s3 = shared_server.s3(key)
    s3.put_object(Bucket="staging", Key=f"{prefix}a", Body=b"a")
    for denied in (
        lambda: s3.get_object(Bucket="staging", Key=f"{prefix}a"),
        lambda: s3.delete_object(Bucket="staging", Key=f"{prefix}a"),
        lambda: s3.put_object(Bucket="archive", Key=f"{prefix}a", Body=b"a"),
        lambda: s3.list_objects_v2(Bucket="staging"),
        lambda: s3.create_bucket(Bucket="mine-alone"),
        lambda: assume(shared_server, key=key),
    ):
        with refused("AccessDenied"):
            denied()


def test_a_denial_in_the_session_policy_wins_over_what_it_allows(shared_server, prefix):
    document = policy(
        may("s3:PutObject", "arn:aws:s3:::staging/*"),
        {"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::staging/{prefix}secret/*"},
    )
    s3 = shared_server.s3(Key.of_sts(assume(shared_server, document)))
    s3.put_object(Bucket="staging", Key=f"{prefix}open/a", Body=b"a")
    with refused("AccessDenied"):
        s3.put_object(Bucket="staging", Key=f"{prefix}secret/a", Body=b"a")


def test_a_condition_in_the_session_policy_is_held_to(shared_server, prefix):
    document = policy(
        may("s3:PutObject", "arn:aws:s3:::staging/*", Condition={"StringEquals": {"s3:if-none-match": "*"}}),
    )
    s3 = shared_server.s3(Key.of_sts(assume(shared_server, document)))
    s3.put_object(Bucket="staging", Key=f"{prefix}once", Body=b"a", IfNoneMatch="*")
    with refused("AccessDenied"):
        s3.put_object(Bucket="staging", Key=f"{prefix}twice", Body=b"a")


@pytest.mark.parametrize(
    "wrong",
    [
        {"Condition": {"StringSortOfEquals": {"s3:if-none-match": "*"}}},
        {"Condition": {"StringEquals": {"s3:no-such-key-of-a-condition": "*"}}},
        {"Principal": "*"},
        {"Effect": "Maybe"},
        {"Surprise": True},
    ],
    ids=["operator", "condition-key", "principal", "effect", "member"],
)
def test_what_a_policy_says_and_nobody_understands_is_refused_and_not_left_out(shared_server, prefix, wrong):
    document = policy(may("s3:PutObject", f"arn:aws:s3:::staging/{prefix}*", **{}) | wrong)
    with refused("MalformedPolicyDocument"):
        assume(shared_server, document)


@pytest.mark.parametrize("life_s", [900, 1800, 3600])
def test_the_duration_asked_for_is_the_duration_given(shared_server, life_s):
    before = now()
    ends = assume(shared_server, DurationSeconds=life_s)["Credentials"]["Expiration"]
    # Seconds are whole in the answer.
    assert timedelta(seconds=life_s - 2) <= ends - before <= timedelta(seconds=life_s + 60)


NAME_MIN, NAME_MAX = 2, 64

WRONG = {
    "unknown-role": ({"RoleArn": "arn:aws:iam::000000000000:role/nobody"}, "AccessDenied"),
    "another-account": ({"RoleArn": ROLE.replace("000000000000", "111111111111")}, "AccessDenied"),
    "no-arn": ({"RoleArn": "two-buckets-uploader-role"}, "ValidationError"),
    "too-short": ({"DurationSeconds": 899}, "ValidationError"),
    "nothing": ({"DurationSeconds": 0}, "ValidationError"),
    "negative": ({"DurationSeconds": -1}, "ValidationError"),
    "too-long": ({"DurationSeconds": 43_201}, "ValidationError"),
    "policy-not-json": ({"Policy": "{"}, "MalformedPolicyDocument"),
    "policy-not-a-policy": ({"Policy": '{"a": 1}'}, "MalformedPolicyDocument"),
    "policy-a-list": ({"Policy": "[]"}, "MalformedPolicyDocument"),
    "name-empty": ({"RoleSessionName": ""}, "ValidationError"),
    "name-of-one": ({"RoleSessionName": "a" * (NAME_MIN - 1)}, "ValidationError"),
    "name-of-65": ({"RoleSessionName": "a" * (NAME_MAX + 1)}, "ValidationError"),
    "name-with-a-space": ({"RoleSessionName": "not a name"}, "ValidationError"),
    "name-with-a-slash": ({"RoleSessionName": "../root"}, "ValidationError"),
    "name-not-ascii": ({"RoleSessionName": "größe"}, "ValidationError"),
}


@pytest.mark.parametrize(("wanted", "code"), WRONG.values(), ids=WRONG.keys())
def test_what_sts_cannot_give_is_refused_with_its_code(shared_server, wanted, code):
    with refused(code) as error:
        assume(shared_server, **wanted)
    status = error.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert status == (403 if code == "AccessDenied" else 400)
    assert error.value.response["Error"]["Message"]


def test_a_session_policy_of_2048_characters_is_taken_and_one_more_is_not(shared_server, prefix):
    document = json.dumps(one_file(f"{prefix}a"))
    assert assume(shared_server, document.ljust(2048))["Credentials"]
    with refused("ValidationError"):
        assume(shared_server, document.ljust(2049))


@pytest.mark.parametrize("action", ["GetSessionToken", "GetFederationToken", "AssumeRoleWithWebIdentity", "NoSuchAction"])
def test_an_sts_action_that_is_not_there_is_refused_in_words(shared_server, action):
    body = f"Action={action}&Version=2011-06-15".encode()
    url = f"{shared_server.endpoint}/"
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    headers = signed_headers(shared_server.root, "POST", url, headers, sha256(body), service="sts")
    answer = send("POST", url, headers, body)
    assert (answer.status, answer.code) in [(400, "InvalidAction"), (501, "NotImplemented")], answer


@pytest.mark.parametrize(
    "wrong",
    [
        lambda key: replace(key, secret_access_key="b" + key.secret_access_key[1:]),
        lambda key: replace(key, access_key_id="AKIANOBODYNOBODYNOBO"),
    ],
    ids=["secret", "access-key-id"],
)
def test_sts_answers_only_who_signs_with_the_right_key(shared_server, wrong):
    with refused("SignatureDoesNotMatch", "InvalidClientTokenId"):
        assume(shared_server, key=wrong(shared_server.root))


@pytest.fixture
def mine(shared_server, prefix):
    """The key of one file and the credentials for it."""
    key = f"{prefix}mine + é.bin"
    return key, Key.of_grant(shared_server.api.credentials(key=key))


def test_one_file_credentials_put_their_file_with_a_signed_header(shared_server, prefix, mine):
    key, who = mine
    body = some_bytes(100_000, prefix)
    shared_server.s3(who).put_object(Bucket="staging", Key=key, Body=body)
    kept.archived_bytes_are(shared_server, {key: sha256(body)}, prefix)


def test_one_file_credentials_sign_a_url_that_puts_their_file(shared_server, prefix, mine):
    key, who = mine
    body = some_bytes(100_000, prefix)
    where = {"Bucket": "staging", "Key": key}
    link = shared_server.s3(who, signature_version="s3v4").generate_presigned_url("put_object", Params=where)
    assert "X-Amz-Security-Token=" in link
    assert send("PUT", link, body=body).status == 200
    kept.archived_bytes_are(shared_server, {key: sha256(body)}, prefix)


def test_the_old_signature_is_checked_with_its_session_token_as_well(shared_server, prefix, mine):
    # boto3 signs URLs with version 2 unless told otherwise, also those of temporary credentials.
    key, who = mine
    body = some_bytes(100_000, prefix)
    link = shared_server.s3(who).generate_presigned_url("put_object", Params={"Bucket": "staging", "Key": key})
    assert "x-amz-security-token=" in link and "X-Amz-Signature=" not in link
    assert send("PUT", link.replace("mine", "yours"), body=body).status == 403
    without = "&".join(pair for pair in link.split("&") if not pair.startswith("x-amz-security-token="))
    assert send("PUT", without, body=body).status == 403
    assert send("PUT", link, body=body).status == 200
    kept.archived_bytes_are(shared_server, {key: sha256(body)}, prefix)


def test_one_file_credentials_send_their_file_in_parts(shared_server, prefix, mine):
    key, who = mine
    body = some_bytes(16 * MIB, prefix)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    shared_server.s3(who).upload_fileobj(io.BytesIO(body), "staging", key, Config=config)
    kept.archived_bytes_are(shared_server, {key: sha256(body)}, prefix)


def test_one_file_credentials_list_their_parts_and_abort(shared_server, mine):
    key, who = mine
    s3 = shared_server.s3(who)
    upload = {"Bucket": "staging", "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    assert [(part["PartNumber"], part["ETag"]) for part in s3.list_parts(**upload)["Parts"]] == [(1, etag)]
    s3.abort_multipart_upload(**upload)
    with refused("NoSuchUpload"):
        s3.list_parts(**upload)


def test_credentials_for_a_minted_key_put_it_once_and_never_over_another(shared_server, prefix):
    grant = shared_server.api.credentials(filename="report.bin")
    assert grant["key"].endswith("/report.bin")
    s3 = shared_server.s3(Key.of_grant(grant))
    with refused("AccessDenied"):
        s3.put_object(Bucket="staging", Key=grant["key"], Body=b"without the condition")
    body = some_bytes(6 * MIB, prefix)
    s3.put_object(Bucket="staging", Key=grant["key"], Body=body, IfNoneMatch="*")
    kept.archived_bytes_are(shared_server, {grant["key"]: sha256(body)}, grant["key"])
    [upload] = shared_server.api.uploads(key=grant["key"])
    assert upload["id"] == grant["id"], "one row, from the grant to the archive"


def test_credentials_for_a_minted_key_send_it_in_parts(shared_server, prefix):
    grant = shared_server.api.credentials(filename="parts.bin")
    s3 = shared_server.s3(Key.of_grant(grant))
    where = {"Bucket": "staging", "Key": grant["key"]}
    bodies = [some_bytes(size, prefix) for size in (5 * MIB, 1_000)]
    upload = where | {"UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, start=1)
    ]
    with refused("AccessDenied"):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
    kept.archived_bytes_are(shared_server, {grant["key"]: sha256(b"".join(bodies))}, grant["key"])


def test_sessions_outlive_a_restart_and_die_with_the_root_key(server, prefix):
    answer = assume(server)
    grant = server.api.credentials(key=f"{prefix}a")
    link = server.api.post("/api/signedurl", {"key": f"{prefix}b", "size": 1})
    server.stop()
    server.start()
    for who in (Key.of_sts(answer), Key.of_grant(grant)):
        server.s3(who).put_object(Bucket="staging", Key=f"{prefix}a", Body=b"a")
    server.stop()
    server.root = Key("AKIATWOBUCKETSTEST01", "another/secret+of=the/root0123456789abcd")
    server.start()
    server.s3().put_object(Bucket="staging", Key=f"{prefix}c", Body=b"c")
    for who in (Key.of_sts(answer), Key.of_grant(grant)):
        with refused("InvalidAccessKeyId", "InvalidToken", "ExpiredToken"):
            server.s3(who).put_object(Bucket="staging", Key=f"{prefix}a", Body=b"a")
    assert send("PUT", link["url"], link["headers"], b"b").code in ("InvalidAccessKeyId", "InvalidToken")
