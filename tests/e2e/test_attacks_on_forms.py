"""POST forms: the one as granted is taken, again as long as it holds, and whatever is changed about it is refused."""

import base64
import json
from datetime import timedelta

import pytest

from harness import kept
from harness.api import Refused
from harness.content import sha256, some_bytes
from harness.keys import Key, form_fields, now
from harness.waiting import until
from harness.wire import form_body, post_form, send

TYPE = "image/png"
SIZE_MAX = 5_000


@pytest.fixture
def form(shared_server, prefix):
    """A form for one key, with a type and a largest size."""
    return shared_server.api.form(key=f"{prefix}a b+c.png", type=TYPE, size_max=SIZE_MAX)


def test_a_form_as_granted_puts_the_file(shared_server, prefix, form):
    body = some_bytes(SIZE_MAX, prefix)
    answer = post_form(form["url"], form["fields"], body)
    assert answer.status in (200, 201, 204), answer
    kept.archived_bytes_are(shared_server, {form["key"]: sha256(body)}, prefix)
    [upload] = shared_server.api.uploads(key=form["key"])
    assert upload["size"] == SIZE_MAX
    head = shared_server.s3().head_object(Bucket="archive", Key=form["key"])
    assert head["ContentType"] == TYPE


def test_a_form_for_a_file_name_puts_it_under_a_minted_key(shared_server, prefix):
    form = shared_server.api.form(filename="from a form.bin")
    assert form["key"].endswith("/from a form.bin") and form["id"]
    body = some_bytes(3_000, prefix)
    assert post_form(form["url"], form["fields"], body).status in (200, 201, 204)
    kept.archived_bytes_are(shared_server, {form["key"]: sha256(body)}, form["key"])
    [upload] = shared_server.api.uploads(key=form["key"])
    assert upload["id"] == form["id"]


@pytest.mark.parametrize("size", [0, 1])
def test_the_smallest_files_go_through_a_form(shared_server, prefix, form, size):
    body = some_bytes(size, prefix)
    assert post_form(form["url"], form["fields"], body).status in (200, 201, 204)
    kept.archived_bytes_are(shared_server, {form["key"]: sha256(body)}, prefix)


def fields_of(form, **changes):
    """The fields with some changed, or taken out by `None`; `_` stands for `-` in names."""
    changes = {name.replace("_", "-"): value for name, value in changes.items()}
    fields = dict(form["fields"])
    by_case = {name.lower(): name for name in fields}
    for name, value in changes.items():
        name = by_case.get(name.lower(), name)
        fields.pop(name, None)
        if value is not None:
            fields[name] = value
    return fields


def policy_with(form, change):
    policy = json.loads(base64.b64decode(next(v for n, v in form["fields"].items() if n.lower() == "policy")))
    change(policy)
    return base64.b64encode(json.dumps(policy).encode()).decode()


CHANGED_FIELDS = {
    "another-key": lambda form: fields_of(form, key=form["key"] + "x"),
    "a-key-below": lambda form: fields_of(form, key=form["key"] + "/x"),
    "the-file-name-as-key": lambda form: fields_of(form, key="${filename}"),
    "the-file-name-in-the-key": lambda form: fields_of(form, key=form["key"] + "${filename}"),
    "no-key": lambda form: fields_of(form, key=None),
    "empty-key": lambda form: fields_of(form, key=""),
    "another-type": lambda form: fields_of(form, Content_Type="text/html"),
    "no-type": lambda form: fields_of(form, Content_Type=None),
    "another-bucket": lambda form: fields_of(form, bucket="archive"),
    "extra-metadata": lambda form: fields_of(form, x_amz_meta_who="me"),
    "extra-acl": lambda form: fields_of(form, acl="public-read"),
    "extra-tagging": lambda form: fields_of(form, tagging="<Tagging><TagSet/></Tagging>"),
    "extra-redirect": lambda form: fields_of(form, success_action_redirect="https://example.com/"),
    "extra-status": lambda form: {**form["fields"], "success_action_status": "201"},
    "extra-field": lambda form: fields_of(form, Anything="else"),
    "extra-header": lambda form: fields_of(form, Content_Encoding="gzip"),
    "extra-storage-class": lambda form: fields_of(form, x_amz_storage_class="GLACIER"),
    "extra-website": lambda form: fields_of(form, x_amz_website_redirect_location="https://example.com/"),
    "signature-changed": lambda form: fields_of(form, x_amz_signature="0" * 64),
    "signature-empty": lambda form: fields_of(form, x_amz_signature=""),
    "no-signature": lambda form: fields_of(form, x_amz_signature=None),
    "signature-only": lambda form: {"key": form["key"], "x-amz-signature": "0" * 64},
    "no-policy": lambda form: fields_of(form, policy=None),
    "empty-policy": lambda form: fields_of(form, policy=""),
    "policy-not-base64": lambda form: fields_of(form, policy="{}"),
    "policy-not-json": lambda form: fields_of(form, policy="e30x"),
    "no-credential": lambda form: fields_of(form, x_amz_credential=None),
    "credential-of-nobody": lambda form: fields_of(
        form, x_amz_credential="AKIANOBODYNOBODYNOBO/20260101/us-east-1/s3/aws4_request"
    ),
    "no-algorithm": lambda form: fields_of(form, x_amz_algorithm=None),
    "another-algorithm": lambda form: fields_of(form, x_amz_algorithm="none"),
    "no-date": lambda form: fields_of(form, x_amz_date=None),
    "another-date": lambda form: fields_of(form, x_amz_date="20200101T000000Z"),
    "a-session-token": lambda form: fields_of(form, x_amz_security_token="x"),
    "nothing-signed": lambda form: {"key": form["key"]},
    "policy-of-another-key": lambda form: fields_of(
        form, policy=policy_with(form, lambda policy: policy["conditions"].append({"key": "x"}))
    ),
    "policy-for-longer": lambda form: fields_of(
        form, policy=policy_with(form, lambda policy: policy.update(expiration="2099-01-01T00:00:00.000Z"))
    ),
    "policy-without-conditions": lambda form: fields_of(
        form, policy=policy_with(form, lambda policy: policy.update(conditions=[]))
    ),
}


@pytest.mark.parametrize("change", CHANGED_FIELDS.values(), ids=CHANGED_FIELDS.keys())
def test_a_changed_form_is_refused_and_keeps_nothing(shared_server, prefix, form, change):
    body = some_bytes(1_000, prefix)
    answer = post_form(form["url"], change(form), body)
    assert answer.is_refusal, answer
    s3 = shared_server.s3()
    assert kept.keys(s3, "archive", prefix) == [] and kept.versions(s3, "staging", prefix) == []
    assert post_form(form["url"], form["fields"], body).status in (200, 201, 204), "the form itself still holds"


def swapped(form):
    """Every field twice, first wrong and then right."""
    return [(name, "x") for name in form["fields"]] + list(form["fields"].items())


def test_a_field_sent_twice_is_refused_whichever_is_right(shared_server, prefix, form):
    for fields in (swapped(form), swapped(form)[::-1]):
        assert post_form(form["url"], fields, b"x").is_refusal
    twice = [*form["fields"].items(), ("key", f"{prefix}another")]
    for fields in (twice, twice[::-1]):
        assert post_form(form["url"], fields, b"x").is_refusal
    assert kept.keys(shared_server.s3(), "archive", prefix) == []


def test_a_larger_file_than_the_form_allows_is_refused_before_it_is_kept(shared_server, prefix, form):
    for size in (SIZE_MAX + 1, SIZE_MAX * 100):
        answer = post_form(form["url"], form["fields"], some_bytes(size, prefix))
        assert (answer.status, answer.code) == (400, "EntityTooLarge"), answer
    s3 = shared_server.s3()
    assert kept.keys(s3, "archive", prefix) == [] and kept.versions(s3, "staging", prefix) == []


def test_a_form_is_for_its_bucket_alone(shared_server, form):
    for bucket in ("archive", "victims", "", "staging/x"):
        at = f"{shared_server.endpoint}/{bucket}"
        assert post_form(at, form["fields"], b"x").is_refusal


def test_a_form_is_no_signature_for_any_other_request(shared_server, form):
    query = "&".join(f"{name}={value}" for name, value in form["fields"].items() if name.startswith("x-amz-"))
    for method in ("PUT", "GET", "DELETE", "HEAD"):
        answer = send(method, f"{form['url'].rstrip('/')}/x?{query}".replace(" ", "%20"), body=b"")
        assert answer.is_refusal, answer


def test_a_form_may_be_sent_again_within_its_time_and_its_limits(shared_server, prefix, form):
    # As on S3: a form is good until its end. What is sent again is another version of the one key, nothing else.
    bodies = [some_bytes(1_000, number) for number in range(3)]
    for body in bodies:
        assert post_form(form["url"], form["fields"], body).status in (200, 201, 204)
    kept.archived_bytes_are(shared_server, {form["key"]: sha256(bodies[-1])}, prefix)
    assert kept.keys(shared_server.s3(), "archive", prefix) == [form["key"]]


def test_a_minted_form_sent_again_keeps_the_first_file(shared_server, prefix):
    form = shared_server.api.form(filename="once.bin")
    first, second = some_bytes(1_000, "first"), some_bytes(1_000, "second")
    assert post_form(form["url"], form["fields"], first).status in (200, 201, 204)
    kept.archived_bytes_are(shared_server, {form["key"]: sha256(first)}, form["key"])
    # The same file again is a duplicate; another one never takes the place of the first.
    post_form(form["url"], form["fields"], first)
    kept.staging_is_empty(shared_server, form["key"])
    assert kept.sha256_in(shared_server.s3(), "archive", form["key"]) == sha256(first)
    assert len(kept.versions(shared_server.s3(), "archive", form["key"])) == 1
    answer = post_form(form["url"], form["fields"], second)
    if answer.is_refusal:
        assert kept.sha256_in(shared_server.s3(), "archive", form["key"]) == sha256(first)


@pytest.fixture(params=["root", "one-file"])
def signer(request, shared_server, prefix):
    if request.param == "root":
        return shared_server.root
    return Key.of_grant(shared_server.api.credentials(key=f"{prefix}a"))


def by_hand(signer, key, conditions=None, **when):
    return form_fields(signer, "staging", conditions or [{"key": key}], {"key": key}, **when)


def test_a_form_signed_by_hand_is_taken_until_its_end_and_never_after(shared_server, prefix, signer):
    url, key = f"{shared_server.endpoint}/staging", f"{prefix}a"
    ends = now() + timedelta(seconds=3)
    fields = by_hand(signer, key, expires_at=ends)
    assert post_form(url, fields, b"x").status in (200, 201, 204)

    def ended():
        answer = post_form(url, fields, b"x")
        return answer if answer.status != 204 and answer.status != 200 else None

    answer = until("the form has ended", ended, within_s=20)
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer
    assert now() >= ends
    assert post_form(url, fields, b"x").status == 403, "it stays ended"


WHEN = {
    "ended-yesterday": {"expires_at": now() - timedelta(days=1)},
    "signed-tomorrow": {"at": now() + timedelta(days=1)},
    "signed-a-week-ago-for-a-day": {"at": now() - timedelta(days=7), "life_s": 86_400},
}


@pytest.mark.parametrize("when", WHEN.values(), ids=WHEN.keys())
def test_a_form_of_another_time_is_refused(shared_server, prefix, signer, when):
    fields = by_hand(signer, f"{prefix}a", **when)
    answer = post_form(f"{shared_server.endpoint}/staging", fields, b"x")
    assert answer.status in (400, 403), answer


CONDITIONS = {
    # What is not understood refuses everything: it is never left out.
    "unknown-match": [["ends-with", "$key", "a"]],
    "unknown-word": [{"key": ["a"]}],
    "not-a-list": "conditions",
    "numbers": [1, 2],
    "range-the-wrong-way": [["content-length-range", 10, 1]],
    "range-negative": [["content-length-range", -1, 10]],
    "range-of-words": [["content-length-range", "none", "many"]],
    "key-of-another": [{"key": "another"}],
    "prefix-of-another": [["starts-with", "$key", "another"]],
    "without-the-key": [["content-length-range", 0, 10]],
}


@pytest.mark.parametrize("conditions", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_a_policy_that_is_not_understood_or_not_met_refuses_the_form(shared_server, prefix, signer, conditions):
    fields = by_hand(signer, f"{prefix}a", conditions=conditions if isinstance(conditions, list) else [conditions])
    answer = post_form(f"{shared_server.endpoint}/staging", fields, b"x")
    assert answer.status in (400, 403), answer
    assert kept.keys(shared_server.s3(), "archive", prefix) == []


def test_one_file_credentials_sign_forms_for_their_file_alone(shared_server, prefix):
    thief = Key.of_grant(shared_server.api.credentials(key=f"{prefix}a"))
    url = f"{shared_server.endpoint}/staging"
    body = some_bytes(1_000, prefix)
    assert post_form(url, by_hand(thief, f"{prefix}a"), body).status in (200, 201, 204)
    kept.archived_bytes_are(shared_server, {f"{prefix}a": sha256(body)}, prefix)
    for key in (f"{prefix}b", f"{prefix}a/b", "x"):
        answer = post_form(url, by_hand(thief, key), body)
        assert (answer.status, answer.code) == (403, "AccessDenied"), answer
    # What the file's name makes of the key is what is asked whether it is allowed.
    fields = by_hand(thief, f"{prefix}${{filename}}", conditions=[["starts-with", "$key", prefix]])
    assert post_form(url, fields, body, filename="b").status == 403
    assert post_form(url, fields, body, filename="a").status in (200, 201, 204)
    token = next(value for name, value in fields.items() if name == "x-amz-security-token")
    for changed in (token[:-1], token + "A", "", token.swapcase()):
        answer = post_form(url, by_hand(thief, f"{prefix}a") | {"x-amz-security-token": changed}, body)
        assert answer.is_refusal, answer
    without = {name: value for name, value in fields.items() if name != "x-amz-security-token"}
    assert post_form(url, without, body).status == 403


def test_one_file_credentials_for_a_minted_key_cannot_go_around_its_condition_by_a_form(shared_server):
    grant = shared_server.api.credentials(filename="once.bin")
    url = f"{shared_server.endpoint}/staging"
    answer = post_form(url, by_hand(Key.of_grant(grant), grant["key"]), b"no If-None-Match in a form")
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer


BODIES = {
    "empty": lambda body, kind: (b"", kind),
    "no-boundary": lambda body, kind: (body, "multipart/form-data"),
    "empty-boundary": lambda body, kind: (body, "multipart/form-data; boundary="),
    "another-boundary": lambda body, kind: (body, "multipart/form-data; boundary=another"),
    "giant-boundary": lambda body, kind: (body, "multipart/form-data; boundary=" + "b" * 4_000),
    "boundary-with-a-line-break": lambda body, kind: (body, 'multipart/form-data; boundary="a b;c"'),
    "not-a-form": lambda body, kind: (body, "application/x-www-form-urlencoded"),
    "cut-in-the-head": lambda body, kind: (body[:60], kind),
    "cut-in-the-fields": lambda body, kind: (body[: len(body) // 2], kind),
    "cut-in-the-file": lambda body, kind: (body[:-60], kind),
    "no-last-boundary": lambda body, kind: (body[: body.rindex(b"--two-buckets")], kind),
    "only-the-last-boundary": lambda body, kind: (b"--two-buckets-test-boundary--\r\n", kind),
    "boundaries-alone": lambda body, kind: (b"--two-buckets-test-boundary\r\n" * 10_000, kind),
    "noise": lambda body, kind: (some_bytes(50_000, "noise"), kind),
    "bare-line-feeds": lambda body, kind: (body.replace(b"\r\n", b"\n"), kind),
    "no-names": lambda body, kind: (body.replace(b' name="', b' nom="'), kind),
    "nul-in-a-name": lambda body, kind: (body.replace(b'name="key"', b'name="k\0ey"'), kind),
    "nul-in-the-key": lambda body, kind: (body.replace(b'name="key"\r\n\r\n', b'name="key"\r\n\r\n\0'), kind),
    "not-utf-8": lambda body, kind: (body.replace(b'name="key"\r\n\r\n', b'name="key"\r\n\r\n\xff\xfe'), kind),
    "a-giant-head": lambda body, kind: (body.replace(b"form-data;", b"form-data; x=" + b"y" * 100_000 + b";", 1), kind),
    "a-giant-field": lambda body, kind: (body.replace(b'name="key"\r\n\r\n', b'name="key"\r\n\r\n' + b"k" * 2_000_000), kind),
    "ten-thousand-fields": lambda body, kind: (form_body([("x", "y")] * 10_000)[0][:-34] + body, kind),
    "a-hundred-files": lambda body, kind: (body.replace(b'name="key"', b'name="file"; filename="x"'), kind),
}


@pytest.mark.parametrize("break_it", BODIES.values(), ids=BODIES.keys())
def test_a_broken_form_is_refused_and_keeps_nothing(shared_server, prefix, form, break_it):
    body, kind = break_it(*form_body(form["fields"], some_bytes(1_000, prefix)))
    answer = send("POST", form["url"], {"content-type": kind}, body)
    assert answer.is_refusal, answer
    assert kept.keys(shared_server.s3(), "archive", prefix) == []
    assert shared_server.api.counts()


def test_fields_behind_the_file_are_not_looked_at(shared_server, prefix, form):
    # As S3 says: the file is the last field, what follows it is ignored; so it can neither help nor harm.
    without_key = fields_of(form, key=None)
    body, kind = form_body(without_key, b"x")
    late = f'--two-buckets-test-boundary\r\nContent-Disposition: form-data; name="key"\r\n\r\n{form["key"]}\r\n'.encode()
    end = b"--two-buckets-test-boundary--\r\n"
    assert send("POST", form["url"], {"content-type": kind}, body[: -len(end)] + late + end).is_refusal
    assert kept.keys(shared_server.s3(), "archive", prefix) == []


def test_a_form_never_allows_more_than_s3_takes_in_one_request(shared_server):
    for wanted in ({}, {"size_max": 6 << 40}):
        try:
            form = shared_server.api.form(filename="a", **wanted)
        except Refused as no:
            assert no.status == 400 and no.detail
            continue
        policy = json.loads(base64.b64decode(next(v for n, v in form["fields"].items() if n.lower() == "policy")))
        [(_, least, most)] = [it for it in policy["conditions"] if isinstance(it, list) and it[0] == "content-length-range"]
        assert least == 0 and most <= 5 << 30
