"""The upload function as API Gateway calls it: page, grants that really upload, status, who may call, and what comes
through unharmed. S3 and STS are our own, the ledger and the queue are moto's; the buckets are none that the server
itself does anything with."""

import json
import re
from urllib.parse import quote, urlencode, urlsplit

import pytest

from harness import roles
from harness.api import Refused
from harness.awkward import AWKWARD_KEYS
from harness.content import MIB, some_bytes
from harness.deployment import INCOMING, KEPT, Deployment, deployed, event_of
from harness.gateway import Function, FunctionApi, by_iam, by_token, function_url, http_api
from harness.keys import REGION, Key
from harness.refusals import refused
from harness.rights import Calls, assert_rights_are_those
from harness.server import ROOT, program
from harness.waiting import until
from harness.wire import send

PAGE = "https://files.example.com"
# What S3 has no key for, or a client cannot name in a URL.
NO_KEYS = {"dots", "only-dot"}


class WithFunctions(Deployment):
    """A deployment with functions that are told of it."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self.functions = []
        self.for_uploads = {
            "TWO_BUCKETS_UPLOADER_ROLE_ARN": roles.arn("UploaderRole"),
            "TWO_BUCKETS_AUTHORIZATION": "jwt",
            "TWO_BUCKETS_OIDC_PREFIX_CLAIM": "tenant",
            "TWO_BUCKETS_OIDC_ADMIN_CLAIM": "cognito:groups=keepers",
        }

    def function(self, **changes):
        """Starts a function of its own; a change to the empty text leaves a variable out."""
        variables = self.as_role("UploadsRole") | self.for_uploads | changes
        variables = {name: value for name, value in variables.items() if value != ""}
        self.functions.append(Function(self.folder / f"function-{len(self.functions)}", variables))
        return self.functions[-1]

    def api(self, caller=None, event=http_api, **changes):
        """The API for one caller, by default one who may see and steer everything."""
        if not self.functions or changes:
            self.function(**changes)
        return FunctionApi(self.functions[-1], caller or KEEPER, event)

    def body(self, key):
        return self.s3.get_object(Bucket=INCOMING, Key=key)["Body"].read()


KEEPER = by_token(sub="ada", **{"cognito:groups": "[others keepers]"})


@pytest.fixture
def deployment(make_server, tmp_path):
    with deployed(make_server, tmp_path, WithFunctions) as made:
        yield made
        for function in made.functions:
            is_alive = function.process.poll() is None
            function.end()
            said = function.said()
            assert is_alive, said
            for secret in (ROOT.secret_access_key, "X-Amz-Signature", "X-Amz-Security-Token", "panicked"):
                assert secret not in said


def is_refused(status, call):
    with pytest.raises(Refused) as told:
        call()
    assert told.value.status == status, told.value
    return told.value.detail


@pytest.mark.parametrize("event", [http_api, function_url], ids=["http-api", "function-url"])
def test_the_page_is_served_to_everybody_and_may_send_files_to_the_bucket_only(deployment, event):
    api = FunctionApi(deployment.function(), None, event)
    index = api.ask("GET", "/")
    assert (index.status, index.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = index.headers["content-security-policy"]
    assert f"connect-src 'self' {deployment.server.endpoint};" in policy
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert index.headers["x-content-type-options"] == "nosniff"
    files = re.findall(r'"\.?(/assets/[^"]+)"', index.body.decode())
    assert {name.rsplit(".", 1)[1] for name in files} >= {"js", "css", "svg"}
    for name in files:
        file = api.ask("GET", name)
        assert file.status == 200 and file.body, name
        assert "immutable" in file.headers["cache-control"], name
        assert file.headers["content-security-policy"] == policy
        known = {"if-none-match": file.headers["etag"]}
        assert api.ask("GET", name, known).status == 304
        head = api.ask("HEAD", name)
        assert (head.status, head.body) == (200, b"")
    for path in ("/assets/nothing.js", "/assets/..%2findex.html", "/assets/../index.html", "/%2e%2e/etc/passwd"):
        assert api.ask("GET", path).status == 404, path


def test_a_stage_in_front_of_the_path_changes_nothing(deployment):
    def staged(*request):
        return http_api(*request, stage="prod")

    api = deployment.api(event=staged)
    assert api.ask("GET", "/").status == 200
    assert api.get("/api/server")["staging"] == INCOMING
    assert FunctionApi(api.function, None, staged).ask("GET", "/api/server").status == 401


@pytest.mark.parametrize("event", [http_api, function_url], ids=["http-api", "function-url"])
def test_a_signed_url_uploads_one_file_and_the_ledger_expects_it(deployment, event):
    api = deployment.api(event=event)
    before = api.get("/api/server")
    assert (before["staging"], before["archive"]) == (INCOMING, KEPT)
    assert before["s3"] == {"endpoint": deployment.server.endpoint, "region": REGION}
    assert before["caller"] == {"name": "ada", "prefix": None, "may_steer": True}
    body = some_bytes(70_000, "signed")
    grant = api.post("/api/signedurl", {"filename": "a b+ü%2F.bin", "size": len(body), "type": "image/png"})
    assert grant["url"].startswith(f"{deployment.server.endpoint}/{INCOMING}/")
    assert grant["key"].endswith("/a b+ü%2F.bin")
    [expected] = api.uploads()
    assert (expected["id"], expected["expected"], expected["state"]) == (grant["id"], True, "pending")
    assert api.upload(grant["id"])["key"] == grant["key"]
    api.send(grant, body)
    assert deployment.body(grant["key"]) == body
    # It is for this file alone: neither another one nor again.
    is_refused(403, lambda: api.send(grant, body + b"x"))
    is_refused(412, lambda: api.send(grant, body))
    assert api.get("/api/uploads", q="a b+ü%2F")["uploads"][0]["id"] == grant["id"]
    assert api.get("/api/uploads", key=grant["key"])["uploads"][0]["id"] == grant["id"]
    assert api.get("/api/uploads", q="a b ü")["uploads"] == []


def test_awkward_keys_come_through_unharmed(deployment):
    api = deployment.api()
    keys = {name: key for name, key in AWKWARD_KEYS.items() if name not in NO_KEYS}
    taken = set()
    for name, key in keys.items():
        try:
            api.put(name.encode(), len(name), key=key)
            taken.add(name)
        except Refused as told:
            # What the API says no to on every host; it says so in words.
            assert told.status == 400 and told.detail, (name, told)
    assert taken >= {"space", "plus", "percent", "percent-escape", "unicode", "emoji", "query", "longest", "markup"}
    for name in taken:
        assert deployment.body(keys[name]) == name.encode(), name
    for key in ("..", "../a", "a/../b", ".", "a/.."):
        is_refused(400, lambda key=key: api.put(b"x", 1, key=key))
    assert deployment.versions(INCOMING) == sorted(keys[name] for name in taken)


def posted(form, body):
    """Posts a form as a browser does; returns the answer."""
    boundary = "form-boundary-0123456789"
    head = f"--{boundary}\r\nContent-Disposition: form-data; name="
    fields = "".join(f'{head}"{name}"\r\n\r\n{value}\r\n' for name, value in form["fields"].items())
    file = f'{head}"file"; filename="x"\r\n\r\n'.encode() + body
    sent = fields.encode() + file + f"\r\n--{boundary}--\r\n".encode()
    return send("POST", form["url"], {"content-type": f"multipart/form-data; boundary={boundary}"}, sent)


def test_a_form_uploads_one_file_within_its_bounds(deployment):
    api = deployment.api()
    form = api.form(filename="grüße & more.txt", size_max=10)
    assert posted(form, b"x" * 11).status == 400
    assert deployment.versions(INCOMING) == []
    assert posted(form, b"0123456789").status in (200, 201, 204)
    assert deployment.body(form["key"]) == b"0123456789"
    # The older plug-in asks by the query.
    asked = urlencode({"filename": "a b+ü&%2F.txt", "type": "text/plain"})
    answer = api.ask("GET", f"/api/s3/params?{asked}", {"sec-fetch-site": "same-origin"})
    params = json.loads(answer.body)
    assert answer.status == 200 and params["fields"]["key"].endswith("/a b+ü&%2F.txt")
    assert posted(params | {"url": params["url"]}, b"by the query").status in (200, 201, 204)
    assert deployment.body(params["fields"]["key"]) == b"by the query"


@pytest.mark.parametrize("event", [http_api, function_url], ids=["http-api", "function-url"])
def test_an_upload_in_parts_is_resumed_and_completed_once(deployment, event):
    api = deployment.api(event=event)
    parts = [some_bytes(5 * MIB, "first"), some_bytes(1_000, "second")]
    wanted = {"filename": "a b+ü/%2F.bin", "type": "image/png", "metadata": {"name": "ü"}}
    created = api.post("/api/s3/multipart", wanted)
    at = f"/api/s3/multipart/{quote(created['uploadId'], safe='')}"
    key = {"key": created["key"]}

    def put(number):
        signed = api.get(f"{at}/{number}", **key)
        answer = send("PUT", signed["url"], {}, parts[number - 1])
        assert answer.status == 200, answer

    def received():
        return json.loads(api.get_as_it_is(at, **key).body)

    put(1)
    assert [(part["PartNumber"], part["Size"]) for part in received()] == [(1, 5 * MIB)]
    put(2)
    listed = {"parts": [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in received()]}
    assert deployment.versions(INCOMING) == []
    for _ in range(2):
        # The second time as a client does that heard no answer.
        assert api.post(f"{at}/complete?{urlencode(key)}", listed)["key"] == created["key"]
    assert deployment.versions(INCOMING) == [created["key"]]
    assert deployment.body(created["key"]) == b"".join(parts)

    given_up = api.post("/api/s3/multipart", {"key": "given up"})
    at, key = f"/api/s3/multipart/{given_up['uploadId']}", {"key": "given up"}
    assert json.loads(api.ask("DELETE", f"{at}?{urlencode(key)}").body) == {}
    is_refused(404, lambda: api.get(f"{at}/1", **key) and api.get(at, **key))
    is_refused(404, lambda: api.get("/api/s3/multipart/no%20such%2Fone/1", key="a"))


def test_credentials_put_one_file_and_do_nothing_else(deployment):
    api = deployment.api()
    made = api.credentials(filename="big.bin")
    assert (made["endpoint"], made["bucket"]) == (deployment.server.endpoint, INCOMING)
    s3 = deployment.server.s3(Key(made["access_key"], made["secret_key"], made["session_token"]))
    body = some_bytes(100_000, "credentials")
    s3.put_object(Bucket=INCOMING, Key=made["key"], Body=body, IfNoneMatch="*")
    assert deployment.body(made["key"]) == body
    for denied in (
        lambda: s3.put_object(Bucket=INCOMING, Key=made["key"] + "x", Body=b"x", IfNoneMatch="*"),
        lambda: s3.put_object(Bucket=KEPT, Key=made["key"], Body=b"x", IfNoneMatch="*"),
        lambda: s3.get_object(Bucket=INCOMING, Key=made["key"]),
        lambda: s3.list_object_versions(Bucket=INCOMING),
    ):
        with refused("AccessDenied"):
            denied()
    # A limit of size that credentials could not be held to, and which a signed URL is.
    limited = deployment.api(TWO_BUCKETS_UPLOAD_BYTES_MAX="10")
    assert "credentials cannot be bound" in is_refused(403, lambda: limited.credentials(filename="big.bin"))
    is_refused(403, lambda: limited.post("/api/signedurl", {"filename": "a", "size": 11}))
    limited.put(b"0123456789", 10, filename="a")


def test_a_file_is_followed_from_its_grant_to_the_archive_and_steered(deployment):
    api = deployment.api()
    good, bad = (api.post("/api/signedurl", {"filename": name, "size": 4}) for name in ("good", "bad"))
    for grant in (good, bad):
        api.send(grant, b"file")
    worker = Function(deployment.folder / "processor", deployment.variables, program())
    try:
        assert worker.runtime.invoke(event_of(good["key"]))[0] == "response", worker.said()
    finally:
        worker.end()
    seen = api.upload(good["id"])
    assert seen["state"] == "archived" and seen["archive"]["bucket"] == KEPT
    assert [attempt["outcome"] for attempt in seen["attempts_log"]] == ["succeeded"]
    assert api.get(f"/api/uploads/{good['id']}/logs")["logs"] == []
    counts = api.counts()
    assert (counts["archived"], counts["pending"]) == (1, 1)
    is_refused(409, lambda: api.post(f"/api/uploads/{good['id']}/retry"))
    assert api.post("/api/retry", {"all": True}) == {"matched": 0, "retried": 0}

    # One row of the ledger is all that a pause is.
    assert api.post("/api/pause", {"reason": "grüße"})["paused"]["reason"] == "grüße"
    assert api.get("/api/server")["paused"]["reason"] == "grüße"
    assert api.post("/api/resume")["paused"] is None
    assert api.get("/api/server")["paused"] is None

    # What its role may not do, it says in words that name who may.
    for call in (
        lambda: api.get(f"/api/uploads/{good['id']}/content"),
        lambda: api.post("/api/replay", {"prefix": "a"}),
        lambda: api.post("/api/sweep"),
    ):
        words = is_refused(400, call)
        assert "may only put into staging" in words and "two-buckets --stack" in words
    assert "ask for the list again" in is_refused(400, lambda: api.get("/api/events"))


class Recorded(FunctionApi):
    """The API, with what is asked of it and what the function calls for that."""

    def __init__(self, calls, *more):
        super().__init__(*more)
        self.calls, self.asked = calls, []

    def ask(self, method, url, *more):
        self.asked.append((method, urlsplit(url).path))
        with self.calls.recorded():
            return super().ask(method, url, *more)

    def never_asked(self):
        """The routes that the API describes and nobody asked."""
        paths = self.get("/api/openapi.json")["paths"]
        routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}

        def is_asked(method, route):
            pattern = re.sub(r"\{\w+\}", "[^/]+", route)
            return any(method == one and re.fullmatch(pattern, path) for one, path in self.asked)

        return {route for route in routes if not is_asked(*route)}


def test_the_function_calls_what_its_role_may_and_its_role_may_no_more(deployment):
    """The same of who uploads with what the function signed and gave away, which is another role."""
    before = deployment.api()
    sizes = {"bad": 4, "bad too": 4, "a job": 200}
    grants = {name: before.post("/api/signedurl", {"filename": name, "size": size}) for name, size in sizes.items()}
    for name, size in sizes.items():
        before.send(grants[name], b"x" * size)
        deployment.tell(grants[name]["key"])
    # There is no such queue, so that nobody starts the job.
    words = ("--job-from-bytes", "100", "--job-queue", "none", "--job-definition", "none:1")
    worker = deployment.launch("work", "--shell", "--command", "cat >/dev/null; exit 65", *words)
    try:
        until("two have failed", lambda: before.counts()["failed"] == 2)
        until("one is a job's", lambda: before.upload(grants["a job"]["id"])["job"])
    finally:
        worker.kill()
        worker.wait()

    calls, clients = Calls(deployment), Calls(deployment)
    api = Recorded(calls, deployment.function(), KEEPER)
    assert api.ask("GET", "/").status == 200
    assert api.get("/api/server")["paused"] is None
    steer(api, {name: grant["id"] for name, grant in grants.items()})
    upload_in_every_way(api, clients, deployment.server)
    upload_in_parts(api, clients)
    for query in ({}, {"key": grants["bad"]["key"]}, {"q": "bad"}, {"state": "failed"}):
        api.get("/api/uploads", **query)
    below = Recorded(calls, api.function, by_token(sub="acme", tenant="acme"))
    assert below.uploads() == []
    # What is not to be had here.
    for method, path in (
        ("GET", f"/api/uploads/{grants['bad']['id']}/content"),
        ("POST", "/api/replay"),
        ("POST", "/api/sweep"),
        ("GET", "/api/events"),
        ("GET", "/api/faults"),
        ("PUT", "/api/faults"),
        ("DELETE", "/api/faults"),
        ("GET", "/api/notifications"),
        ("GET", "/metrics"),
    ):
        body = b'{"prefix": "a", "fault": []}' if method in ("POST", "PUT") else None
        assert 400 <= api.ask(method, path, {"content-type": "application/json"}, body).status < 500, path
    assert api.never_asked() == set()
    assert_rights_are_those("UploadsRole", calls.seen, {})
    assert_rights_are_those("UploaderRole", clients.seen, {})


def steer(api, ids):
    """Steers uploads, of which two have failed and one waits for a job."""
    assert [attempt["outcome"] for attempt in api.upload(ids["bad"])["attempts_log"]] == ["permanent"]
    api.get(f"/api/uploads/{ids['bad']}/logs")
    assert api.post(f"/api/uploads/{ids['bad']}/retry")["state"] == "pending"
    assert api.post("/api/retry", {"all": True}) == {"matched": 1, "retried": 1}
    assert api.post(f"/api/uploads/{ids['a job']}/cancel")["state"] == "failed"
    assert api.post("/api/pause", {"reason": "a look"})["paused"]
    assert api.post("/api/resume")["paused"] is None


def upload_in_every_way(api, clients, server):
    """Uploads a file at once with all that may be asked for that."""
    form = api.form(filename="by form", size_max=10)
    asked = {"sec-fetch-site": "same-origin"}
    params = json.loads(api.ask("GET", "/api/s3/params?filename=params", asked).body)
    signed = api.post("/api/signedurl", {"filename": "signed", "size": 1})
    for_uppy = api.post("/api/s3/sign", {"method": "PUT", "filename": "for uppy", "size": 1})
    given = api.credentials(filename="by credentials")
    below = json.loads(api.ask("GET", "/api/s3/sts", asked).body)
    with clients.recorded():
        for each in (form, params):
            assert posted(each, b"x").status in (200, 201, 204)
        api.send(signed, b"x")
        api.send(for_uppy | {"method": "PUT"}, b"x")
        key = Key(given["access_key"], given["secret_key"], given["session_token"])
        server.s3(key).put_object(Bucket=INCOMING, Key=given["key"], Body=b"x", IfNoneMatch="*")
        told = below["credentials"]
        key = Key(told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"])
        server.s3(key).put_object(Bucket=INCOMING, Key=below["prefix"] + "x", Body=b"x")


def upload_in_parts(api, clients):
    """Uploads one whose steps the function makes and one whose steps it only signs, and gives up one of each."""
    made, given_up = (api.post("/api/s3/multipart", {"filename": name, "size": 1}) for name in ("made", "given up"))
    at, key = f"/api/s3/multipart/{made['uploadId']}", {"key": made["key"]}
    part = api.get(f"{at}/1", **key)
    with clients.recorded():
        assert send("PUT", part["url"], {}, b"x").status == 200
    parts = [{name: part[name] for name in ("PartNumber", "ETag")} for part in api.get(at, **key)]
    assert api.post(f"{at}/complete?{urlencode(key)}", {"parts": parts})["key"] == made["key"]
    query = urlencode({"key": given_up["key"]})
    assert api.ask("DELETE", f"/api/s3/multipart/{given_up['uploadId']}?{query}").status == 200

    def signed(method, body=b"", **asked):
        grant = api.post("/api/s3/sign", {"method": method, **asked})
        with clients.recorded():
            answer = send(method, grant["url"], grant["headers"], body)
        assert answer.status in (200, 204), answer
        return grant, answer

    for last in ("POST", "DELETE"):
        grant, begun = signed("POST", filename=f"signed {last}", size=1)
        of = {"key": grant["key"], "uploadId": re.search("<UploadId>(.+)</UploadId>", begun.body.decode())[1]}
        _, sent = signed("PUT", b"x", partNumber=1, **of)
        signed("GET", **of)
        part = f"<Part><PartNumber>1</PartNumber><ETag>{sent.headers['etag']}</ETag></Part>"
        whole = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"
        signed(last, whole.encode() if last == "POST" else b"", **of)


def test_a_caller_sees_and_names_what_is_below_its_prefix_only(deployment):
    one, other = (deployment.api(by_token(sub=name, tenant=name)) for name in ("acme", "acme2"))
    ours, others = (api.post("/api/signedurl", {"filename": "a", "size": 1}) for api in (one, other))
    assert ours["key"].startswith("acme/") and others["key"].startswith("acme2/")
    assert [it["id"] for it in one.uploads()] == [ours["id"]]
    assert [it["id"] for it in other.uploads()] == [others["id"]]
    assert len(deployment.api().uploads()) == 2
    theirs = f"/api/uploads/{others['id']}"
    for call in (
        lambda: one.get(theirs),
        lambda: one.get(f"{theirs}/logs"),
        lambda: one.get(f"{theirs}/content"),
    ):
        is_refused(404, call)
    for wanted in ("acme2/x", "acme", "x", "acme/../acme2/x", "/acme/x"):
        for path in ("/api/signedurl", "/api/credentials", "/api/form", "/api/s3/multipart"):
            with pytest.raises(Refused) as told:
                one.post(path, {"key": wanted, "size": 1})
            assert told.value.status in (400, 403), (path, wanted)
    for path, body in (("/api/pause", {}), ("/api/resume", None), ("/api/sweep", None), (f"{theirs}/retry", None)):
        is_refused(403, lambda path=path, body=body: one.post(path, body))
    one.put(b"x", 1, key="acme/x y+z")
    assert deployment.body("acme/x y+z") == b"x"


def test_who_is_not_vouched_for_is_refused_whatever_they_send(deployment):
    function = deployment.function()
    forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJjb2duaXRvOmdyb3VwcyI6ImtlZXBlcnMifQ."
    headers = {
        "authorization": f"Bearer {forged}",
        "x-amzn-request-context": json.dumps({"authorizer": KEEPER}),
        "x-amz-request-context": json.dumps({"authorizer": KEEPER}),
        "x-forwarded-user": "ada",
    }
    nobody = [None, {}, {"lambda": {"sub": "ada"}}, by_iam()]
    nobody += [{"jwt": jwt} for jwt in ({}, {"claims": None}, {"claims": []}, {"claims": "sub"})]
    paths = ["/api/server", "/api/uploads", "/api/openapi.json", "/api/events", "/api", "/api/", "/api/nothing", "/metrics"]
    for event in (http_api, function_url):
        for caller in nobody:
            for path in paths:
                answer = FunctionApi(function, caller, event).ask("GET", path, headers)
                assert answer.status == 401, (caller, path, answer)
                assert answer.headers["www-authenticate"].startswith("Bearer")
    anybody = FunctionApi(function, None)
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        for path in ("/", "/api/signedurl", "/api/pause"):
            assert anybody.ask(method, path, headers).status in (401, 403, 405), (method, path)
    # No other spelling of an address leads there.
    spelt = ["/assets/../api/uploads", "//api/uploads", "/API/uploads", "/%61pi/uploads%20", "/prod/api/uploads"]
    for path in spelt:
        answer = anybody.ask("GET", path, headers)
        assert answer.status in (401, 404) and b"uploads\"" not in answer.body, path
    # A token that was found good and says too little, or what is no prefix.
    prefixes = ["", "..", "/", "[a b]/../x", "_late", "a" * 600]
    for claims in ({"sub": "ada"}, {"tenant": "a"}, {"sub": "", "tenant": "a"}, *({"sub": "ada", "tenant": it} for it in prefixes)):
        answer = FunctionApi(function, by_token(**claims)).ask("GET", "/api/server")
        assert answer.status == 401, claims
    # A group whose name only has the right one in it.
    for groups in ("keepers2", "[keepers2]", "keepers]", "[notkeepers keepers2]", "Keepers"):
        eve = FunctionApi(function, by_token(sub="eve", tenant="t", **{"cognito:groups": groups}))
        assert eve.get("/api/server")["caller"] == {"name": "eve", "prefix": "t/", "may_steer": False}, groups


def test_callers_by_iam_see_everything_and_others_nothing(deployment):
    without = {"TWO_BUCKETS_OIDC_PREFIX_CLAIM": "", "TWO_BUCKETS_OIDC_ADMIN_CLAIM": ""}
    function = deployment.function(TWO_BUCKETS_AUTHORIZATION="iam", **without)
    for event in (http_api, function_url):
        known = FunctionApi(function, by_iam(), event)
        assert known.get("/api/server")["caller"] == {
            "name": "arn:aws:sts::123456789012:assumed-role/operators/ada",
            "prefix": None,
            "may_steer": True,
        }
        key = f"by-iam/{event.__name__}"
        known.put(b"x", 1, key=key)
        assert deployment.body(key) == b"x"
        for caller in (None, KEEPER, {"iam": {}}, {"iam": None}, {"iam": {"userArn": "", "userId": None}}):
            signed = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20261126/eu-central-1/execute-api/aws4_request"}
            answer = FunctionApi(function, caller, event).ask("GET", "/api/server", signed)
            assert answer.status == 403 and b"signed with AWS credentials" in answer.body


def test_the_page_of_the_one_allowed_origin_may_call_and_no_other(deployment):
    function = deployment.function(TWO_BUCKETS_ALLOW_ORIGIN=PAGE)
    anybody, known = FunctionApi(function, None), FunctionApi(function, KEEPER)
    asked = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    preflight = anybody.ask("OPTIONS", "/api/signedurl", asked)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]
    answer = known.ask("GET", "/api/server", {"origin": PAGE})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "access-control-allow-credentials" not in answer.headers and "Origin" in answer.headers["vary"]
    # Its script must be able to read why it is refused.
    answer = anybody.ask("GET", "/api/server", {"origin": PAGE})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (401, PAGE)
    for origin in ("https://evil.example", PAGE + ".evil.example", "http://files.example.com", "null", "*"):
        for api, method in ((anybody, "OPTIONS"), (known, "GET")):
            answer = api.ask(method, "/api/server", asked | {"origin": origin})
            assert not any(name.startswith("access-control") for name in answer.headers), origin
    nowhere = deployment.api(TWO_BUCKETS_STACK="other").ask("GET", "/api/server", {"origin": PAGE})
    assert nowhere.status == 200 and "access-control-allow-origin" not in nowhere.headers


def test_bodies_of_every_encoding_are_read_and_what_is_no_call_is_an_error(deployment):
    api = deployment.api()
    for event in (http_api, function_url):
        plain = FunctionApi(api.function, KEEPER, event)
        for content_type in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
            body = json.dumps({"key": "grüße/ü"}, ensure_ascii=False).encode()
            answer = plain.ask("POST", "/api/signedurl", {"content-type": content_type, "cookie": "a=1; b=2"}, body)
            assert json.loads(answer.body)["key"] == "grüße/ü", answer
        for body in (b"", b"\xff\x00", b"{", b"[]"):
            for content_type, status in (("application/octet-stream", 415), ("Application/Json", 400)):
                answer = plain.ask("POST", "/api/signedurl", {"content-type": content_type}, body)
                assert answer.status == status, (content_type, body, answer)
        large = json.dumps({"key": "k" * 70_000}).encode()
        assert plain.ask("POST", "/api/signedurl", {"content-type": "application/json"}, large).status == 413
    for query in ("limit=1&limit=2", "limit=0", "state=%zz", "nothing=1", "limit=1%26x"):
        assert api.ask("GET", f"/api/uploads?{query}").status == 400, query
    for odd in (None, [], {}, {"version": "1.0"}, {"Records": []}, {"version": "2.0", "rawPath": "/"}):
        kind, problem = api.function.runtime.invoke(odd)
        assert kind == "error" and "payload format 2.0" in problem["errorMessage"], odd
    # Strangers' bytes, in paths that an HTTP API has decoded.
    for path in ("/a b", "/ü{}|^`", "/%00", "/%25", "/assets/%zz", "/?" + "x" * 10_000, "/" + "y" * 10_000):
        assert FunctionApi(api.function, None).ask("GET", path).status in (200, 404), path[:20]
    assert api.get("/api/server")["version"]


def test_a_big_list_comes_in_pages_that_lambda_can_carry(deployment):
    api = deployment.api()
    name = "n" * 600
    ids = {api.post("/api/signedurl", {"filename": f"{number}-{name}", "size": 1})["id"] for number in range(60)}
    assert {it["id"] for it in api.uploads()} == ids
    found, after = [], {}
    while True:
        page = api.get("/api/uploads", limit=7, **after)
        found += [it["id"] for it in page["uploads"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert len(found) == 60 and set(found) == ids
    assert page["counts"]["pending"] == 60


def test_a_function_that_is_not_configured_says_all_that_is_wrong(deployment):
    nothing = {name: "" for name in (*deployment.variables, *deployment.for_uploads) if name.startswith("TWO_BUCKETS_")}
    function = deployment.function(**nothing, TWO_BUCKETS_ALLOW_ORIGIN="*", TWO_BUCKETS_UPLOAD_BYTES_MAX="-1")
    deployment.functions.remove(function)
    assert function.process.wait(timeout=60) == 1
    said = function.said()
    function.runtime.close()
    for name in ("STAGING", "ARCHIVE", "LEDGER_TABLE", "QUEUE_URL", "UPLOADER_ROLE_ARN", "AUTHORIZATION"):
        assert f"TWO_BUCKETS_{name} is not set" in said
    assert "TWO_BUCKETS_ALLOW_ORIGIN: " in said and "TWO_BUCKETS_UPLOAD_BYTES_MAX: " in said
