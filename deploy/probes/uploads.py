"""The upload API and what it grants: each grant puts its one file, and nothing else."""

import json
import urllib.error
import urllib.parse
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.exceptions

from probes.files import PART
from probes.run import Put, sha256
from probes.stack import code

UPLOADER = "an uploader's credentials put one key and do nothing else"
BOUND = "a signed URL takes the file it was made for and no other"
ONCE = "a signed URL of a made key puts no second file over the first"
FORM = "a form takes one file, and none that is too large"
PARTS = "an upload in parts by signed URLs is made a file once"

TYPE = "application/octet-stream"
# How often a second file is sent behind a first one that may be archived already.
TRIES = 3


class Refused(Exception):
    """The upload API said no, which is a failure or not."""

    def __init__(self, words, is_no_failure):
        super().__init__(words)
        self.is_no_failure = is_no_failure

    def said(self, report, claim):
        if self.is_no_failure:
            return report.skipped(claim, str(self))
        return report.claim(claim, [str(self)])


class Unseen(Exception):
    """A probe that could not be made, and why."""


def send(method, url, headers=None, body=None):
    """One request; gives the status, the headers and the body of its answer."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def signed_by_iam(by, method, url, headers, body):
    """The headers with which a caller by IAM credentials signs a call; `by` is a session."""
    asked = botocore.awsrequest.AWSRequest(method, url, data=body, headers=headers)
    botocore.auth.SigV4Auth(by.get_credentials(), "execute-api", by.region_name).add_auth(asked)
    return dict(asked.headers.items())


def call(stack, method, path, token, wanted=None, is_first=True):
    """The answer of the upload API; `is_first` where nothing was granted before."""
    url, headers, body = stack.outputs["ApiUrl"].rstrip("/") + path, {}, None
    if method == "POST":
        headers, body = {"content-type": "application/json"}, json.dumps(wanted or {}).encode()
    headers = headers | {"authorization": f"Bearer {token}"} if token else signed_by_iam(stack.session, method, url, headers, body)
    try:
        status, _, answer = send(method, url, headers, body)
    except OSError as error:
        raise Refused(f"the upload API is not reached: {error}", False) from None
    if status >= 400:
        raise refusal(status, words_of(answer), is_first)
    return json.loads(answer)


def refusal(status, words, is_first):
    """It may say no to a caller, and to a size; what it said yes to it must hold."""
    hint = "; --api-token, or rights to execute-api" if status in (401, 403) else ""
    is_no_failure = status in (401, 403, 413, 429) or (is_first and status < 500)
    return Refused(f"the upload API answers {status}: {words}{hint}", is_no_failure)


def words_of(answer):
    """What an error of the API or of a gateway says."""
    try:
        said = json.loads(answer)
        return said.get("detail") or said.get("message") or "no reason"
    except (ValueError, AttributeError):
        return "no reason"


def check_uploads(run, token):
    """Puts a file in each way that the API grants, and tries what no grant may."""
    for claim, probe in ((UPLOADER, by_credentials), (BOUND, by_signed_url), (ONCE, twice_by_signed_url), (FORM, by_form), (PARTS, by_parts)):
        if "ApiUrl" not in run.stack.outputs:
            run.report.skipped(claim, "no upload API is known: --api-url")
            continue
        try:
            run.report.claim(claim, list(probe(run, token)))
        except Refused as refused:
            refused.said(run.report, claim)
        except Unseen as unseen:
            run.report.skipped(claim, str(unseen))
        except OSError as error:
            run.report.claim(claim, [f"not reached: {error}"])


def by_credentials(run, token):
    """An uploader may put its one file and nothing else: neither read, list, delete nor any other key."""
    stack, key, content = run.stack, run.prefix + "by an uploader", b"by an uploader"
    given = call(stack, "POST", "/api/credentials", token, {"key": key})
    theirs = boto3.client(
        "s3", endpoint_url=given["endpoint"], region_name=given["region"], aws_access_key_id=given["access_key"],
        aws_secret_access_key=given["secret_key"], aws_session_token=given["session_token"],
    )  # fmt: skip
    written = theirs.put_object(Bucket=given["bucket"], Key=key, Body=content)
    run.puts.append(Put(key, written["VersionId"], sha256(content)))
    mine = {"Bucket": stack.staging, "Key": key}
    tries = {
        "read its own file": lambda: theirs.get_object(**mine),
        "read a version of it": lambda: theirs.get_object(**mine, VersionId=written["VersionId"]),
        "delete it": lambda: theirs.delete_object(**mine),
        "delete a version of it": lambda: theirs.delete_object(**mine, VersionId=written["VersionId"]),
        "list staging": lambda: theirs.list_objects_v2(Bucket=stack.staging),
        "list versions": lambda: theirs.list_object_versions(Bucket=stack.staging),
        "put another key": lambda: theirs.put_object(Bucket=stack.staging, Key=key + "x", Body=b""),
        "put to the archive": lambda: theirs.put_object(Bucket=stack.archive, Key=key, Body=b""),
        "read the archive": lambda: theirs.get_object(Bucket=stack.archive, Key=key),
    }
    for what, tried in tries.items():
        yield from refused(what, tried)


def refused(what, tried):
    try:
        tried()
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            yield f"{what}: {code(error)} in the place of a refusal"
    else:
        yield f"it may {what}"


def granted(run, token, path, **wanted):
    """A grant of a key that is made for it."""
    grant = call(run.stack, "POST", path, token, wanted)
    run.minted.append(grant["key"])
    return grant


def put_by(run, grant, content):
    """Sends a file by a signed URL. What was taken is of this run, whether it should have been or not."""
    status, headers, _ = send("PUT", grant["url"], grant["headers"], content)
    if status == 200:
        run.puts.append(Put(grant["key"], headers["x-amz-version-id"], sha256(content)))
    return status


def by_signed_url(run, token):
    """Size and checksum are signed, so that no other file can be sent in its place."""
    content = f"by a signed URL, {run.prefix}".encode()
    wanted = {"filename": "by a signed URL.txt", "type": TYPE, "size": len(content), "sha256": sha256(content)}
    grant = granted(run, token, "/api/signedurl", **wanted)
    for what, other in (("of another size", content + b"!"), ("of another checksum", content[::-1])):
        status = put_by(run, grant, other)
        if not 400 <= status < 500:
            yield f"a file {what}: {status} in the place of a refusal"
    status = put_by(run, grant, content)
    if status != 200:
        yield f"the file itself: {status}"


def twice_by_signed_url(run, token):
    """A key that was made is written with `If-None-Match: *`, which sees what is in staging."""
    for _ in range(TRIES):
        grant = granted(run, token, "/api/signedurl", filename="once.txt", type=TYPE, size=5)
        if (status := put_by(run, grant, b"first")) != 200:
            yield f"the first file: {status}"
            return
        first = run.puts[-1]
        status = put_by(run, grant, b"other")
        if status == 412:
            return
        if status != 200:
            yield f"a second file: {status} in the place of 412"
            return
        if first.version in run.stack.staged(first.key):
            yield "it put a second file while the first was in staging"
            return
    # Behind one that is archived it may come, as an upload of its own.
    raise Unseen(f"each of {TRIES} first files was archived before a second could be sent")


def by_form(run, token):
    """The size is in the form's policy."""
    content = b"by a form"
    form = granted(run, token, "/api/form", filename="by a form.txt", type=TYPE, size_max=len(content))
    status = posted(run, form, content + b"!")
    if not 400 <= status < 500:
        yield f"a file above its size: {status} in the place of a refusal"
    status = posted(run, form, content)
    if not 200 <= status < 300:
        yield f"the file itself: {status}"


def posted(run, form, content):
    """Posts a form as a browser does."""
    boundary = "two-buckets-verify"
    lines = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in form["fields"].items()]
    lines.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\nContent-Type: {TYPE}\r\n\r\n')
    body = "".join(lines).encode() + content + f"\r\n--{boundary}--\r\n".encode()
    status, headers, _ = send("POST", form["url"], {"content-type": f"multipart/form-data; boundary={boundary}"}, body)
    if 200 <= status < 300:
        run.puts.append(Put(form["key"], headers["x-amz-version-id"], sha256(content)))
    return status


def by_parts(run, token):
    """Begun, signed part by part, and completed by the API; the second time as a client does that heard no answer."""
    stack, parts = run.stack, [b"q" * PART, b"and a last one"]
    made = granted(run, token, "/api/s3/multipart", filename="by parts.bin", type=TYPE)
    at = f"/api/s3/multipart/{urllib.parse.quote(made['uploadId'], safe='')}"
    key = f"?key={urllib.parse.quote(made['key'], safe='')}"
    tags = []
    for number, part in enumerate(parts, 1):
        signed = call(stack, "GET", f"{at}/{number}{key}", token, is_first=False)
        status, headers, _ = send("PUT", signed["url"], {"content-type": TYPE}, part)
        if status != 200:
            yield f"part {number}: {status}"
            return
        tags.append({"PartNumber": number, "ETag": headers["etag"]})
    call(stack, "POST", f"{at}/complete{key}", token, {"parts": tags}, is_first=False)
    put = made_of_parts(run, made["key"], parts)
    if len(put) != 1:
        yield f"it became {len(put)} versions"
    call(stack, "POST", f"{at}/complete{key}", token, {"parts": tags}, is_first=False)
    again = made_of_parts(run, made["key"], parts)
    yield from (f"completed again it became another version, {version}" for version in again)


def made_of_parts(run, key, parts):
    """The versions that a made key has beside those that are known."""
    known = {put.version for put in run.puts}
    found = [version for version in versions_of(run.stack, key) if version not in known]
    run.puts += [Put(key, version, sha256(b"".join(parts))) for version in found]
    return found


def versions_of(stack, key):
    """The versions of a made key: in staging, or as the ledger noted what is gone from there."""
    staged = list(stack.staged(key))
    row = None if staged else stack.ledger().minted(stack.staging, key)
    return [row["version_id"]] if row else staged
