"""Who may call: tokens from a file, tokens that an issuer signed, and TLS; and that nobody else gets in."""

import hashlib
import json
import ssl
import subprocess
import time
from urllib.parse import urlsplit

import pytest

from harness import certificates, kept, programs, tree
from harness.api import Refused
from harness.content import MIB, sha256, some_bytes, write_large
from harness.issuer import Issuer
from harness.keys import Key
from harness.refusals import refused
from harness.server import Server, program
from harness.tools import aws_environment, needed, run
from harness.waiting import until
from harness.wire import exchange, post_form, send

PARTNER = "partner-token-0123456789abcdef0123456789"
KEEPER = "keeper-token-0123456789abcdef01234567890"
TENANT = "tenant-token-0123456789abcdef01234567890"
STRANGER = "stranger-token-0123456789abcdef012345678"


def token_file(folder, *callers):
    """A file of callers that only its owner may read, as the server asks for."""
    path = folder / "callers.toml"
    path.touch(mode=0o600)
    path.write_text("".join(callers))
    return path


def caller(name, token, **more):
    lines = [f"name = {json.dumps(name)}", f"token = {json.dumps(token)}"]
    lines += [f"{member} = {json.dumps(value)}" for member, value in more.items()]
    return "[[caller]]\n" + "\n".join(lines) + "\n"


@pytest.fixture
def guarded(make_server, tmp_path):
    """A server that a partner may call for small files of its own, a tenant for any of its own, and a keeper for all."""
    path = token_file(
        tmp_path,
        caller("partner", PARTNER, prefix="partner/", size_bytes_max=100_000, types=["image/*", "text/csv"]),
        caller("tenant", TENANT, prefix="tenant/"),
        caller("keeper", KEEPER, may_steer=True),
    )
    return make_server("--token-file", path)


CALLS = {
    "server": lambda api: api.get("/api/server"),
    "list": lambda api: api.get("/api/uploads"),
    "signedurl": lambda api: api.post("/api/signedurl", {"filename": "a.csv", "type": "text/csv"}),
    "credentials": lambda api: api.post("/api/credentials", {"filename": "a.csv", "type": "text/csv"}),
    "form": lambda api: api.post("/api/form", {"filename": "a.csv", "type": "text/csv"}),
    "sign": lambda api: api.post("/api/s3/sign", {"method": "PUT", "key": "a.csv", "filename": "a.csv", "contentType": "text/csv"}),
    "sts": lambda api: api.get("/api/s3/sts"),
    "multipart": lambda api: api.post("/api/s3/multipart", {"filename": "a.csv", "type": "text/csv"}),
    "params": lambda api: api.get("/api/s3/params", filename="a.csv", type="text/csv"),
    "events": lambda api: api.get("/api/events"),
    "retry": lambda api: api.post("/api/retry", {"all": True}),
    "sweep": lambda api: api.post("/api/sweep"),
}


@pytest.mark.parametrize("token", [None, STRANGER, "", "x"], ids=["none", "strange", "empty", "short"])
def test_without_a_known_token_nothing_is_answered_but_the_page(guarded, token):
    for name, call in CALLS.items():
        with pytest.raises(Refused) as no:
            call(guarded.api_as(token))
        assert no.value.status == 401, name
        assert no.value.headers["www-authenticate"].startswith("Bearer")
        assert no.value.detail
    page = send("GET", guarded.web)
    assert page.status == 200, "the page itself is no secret: it asks for the token"
    # Our own origin is no token where tokens are asked for.
    headers = {"content-type": "application/json", "origin": guarded.web}
    assert send("POST", f"{guarded.web}/api/signedurl", headers, b'{"filename": "a.csv"}').status == 401


def test_a_caller_with_a_token_sends_within_its_prefix_and_sees_only_that(guarded):
    partner, keeper = guarded.api_as(PARTNER), guarded.api_as(KEEPER)
    assert partner.get("/api/server")["caller"] == {
        "name": "partner",
        "prefix": "partner/",
        "may_steer": False,
    }
    assert keeper.get("/api/server")["caller"] == {"name": "keeper", "prefix": None, "may_steer": True}
    body = some_bytes(2_000, "partner")
    key = partner.put(body, len(body), filename="a.csv", type="text/csv")
    assert key.startswith("partner/") and key.endswith("/a.csv")
    other = keeper.put(body, len(body), filename="b.bin")
    assert not other.startswith("partner/")
    kept.archived_bytes_are(guarded, {key: sha256(body), other: sha256(body)})
    assert [upload["key"] for upload in partner.uploads()] == [key]
    assert sorted(upload["key"] for upload in keeper.uploads()) == sorted([key, other])
    [theirs] = [upload for upload in keeper.uploads() if upload["key"] == other]
    for path in (f"/api/uploads/{theirs['id']}", f"/api/uploads/{theirs['id']}/content"):
        with pytest.raises(Refused) as no:
            partner.get(path)
        assert no.value.status == 404, "that there is one is nobody's business either"
    with pytest.raises(Refused) as no:
        partner.post("/api/retry", {"all": True})
    assert no.value.status == 403


@pytest.mark.parametrize("key", ["keeper/a.csv", "a.csv", "partner", "partner-too/a.csv", "partner/../a.csv", "Partner/a.csv"])
@pytest.mark.parametrize("route", ["signedurl", "credentials", "form"])
def test_a_caller_gets_no_grant_outside_its_prefix(guarded, route, key):
    with pytest.raises(Refused) as no:
        guarded.api_as(PARTNER).post(f"/api/{route}", {"key": key, "type": "text/csv"})
    assert no.value.status in (400, 403) and no.value.detail


def test_credentials_of_a_caller_open_nothing_outside_its_prefix(guarded):
    tenant = guarded.api_as(TENANT)
    given = tenant.get("/api/s3/sts")
    assert given["prefix"].startswith("tenant/")
    s3 = guarded.s3(Key.of_sts(given))
    for key in ("a", "tenant/a", "keeper/a"):
        with refused("AccessDenied"):
            s3.put_object(Bucket="staging", Key=key, Body=b"x")
    upload = guarded.api_as(KEEPER).post("/api/s3/multipart", {"filename": "theirs.bin", "type": "text/csv"})
    where = {"key": upload["key"]}
    for attack in (
        lambda: tenant.get(f"/api/s3/multipart/{upload['uploadId']}", **where),
        lambda: tenant.get(f"/api/s3/multipart/{upload['uploadId']}/1", **where),
        lambda: tenant.delete(f"/api/s3/multipart/{upload['uploadId']}?key={upload['key']}"),
        lambda: tenant.post("/api/s3/sign", {"method": "DELETE", "uploadId": upload["uploadId"], **where}),
    ):
        with pytest.raises(Refused) as no:
            attack()
        assert no.value.status in (400, 403, 404)
    # Credentials cannot say how large a file may be, so who is held to a size gets none.
    for route, wanted in (("credentials", {"filename": "a.csv", "type": "text/csv"}), ("s3/sts", None)):
        api = guarded.api_as(PARTNER)
        with pytest.raises(Refused) as no:
            api.post(f"/api/{route}", wanted) if wanted else api.get(f"/api/{route}")
        assert no.value.status == 403 and no.value.detail


def test_limits_of_a_caller_are_said_before_and_kept_to(guarded):
    partner = guarded.api_as(PARTNER)
    limits = partner.get("/api/server")["limits"]
    assert limits["size_bytes_max"] == 100_000 and set(limits["types"]) == {"image/*", "text/csv"}
    for wanted in (
        {"filename": "large.csv", "type": "text/csv", "size": 100_001},
        {"filename": "a.html", "type": "text/html", "size": 1},
        {"filename": "of no type", "size": 1},
    ):
        with pytest.raises(Refused) as no:
            partner.post("/api/signedurl", wanted)
        assert no.value.status in (400, 403, 413, 415) and no.value.detail, wanted
    # What was not said is not a way around: no grant of any kind takes a larger file.
    body = some_bytes(100_001, "large")
    form = partner.post("/api/form", {"filename": "large.csv", "type": "text/csv"})
    assert post_form(form["url"], form["fields"], body).code == "EntityTooLarge"
    try:
        grant = partner.post("/api/signedurl", {"filename": "large.csv", "type": "text/csv"})
    except Refused as no:
        assert no.detail, "the size must be said"
    else:
        assert 400 <= send("PUT", grant["url"], grant["headers"], body).status < 500
    assert guarded.api.counts()["archived"] == 0


def test_a_token_taken_out_of_the_file_is_known_no_more(guarded, tmp_path):
    partner = guarded.api_as(PARTNER)
    assert partner.get("/api/server")["caller"]["name"] == "partner"
    token_file(tmp_path, caller("newcomer", STRANGER, prefix="new/"))

    def status_of(token):
        try:
            guarded.api_as(token).get("/api/server")
        except Refused as no:
            return no.status
        return 200

    until("the file is read again", lambda: status_of(PARTNER) == 401, within_s=60)
    assert status_of(STRANGER) == 200


def test_a_server_that_others_can_reach_does_not_start_without_callers(make_server, tmp_path):
    for flags in (["--web", "0.0.0.0:0"], ["--s3", "127.0.0.1:0", "--web", "0.0.0.0:0"]):
        command = [program(), "serve", "--data", tmp_path / "data", *flags]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
        assert done.returncode != 0
        assert "token" in done.stderr, done.stderr


@pytest.fixture(scope="module")
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture(scope="module")
def trusting(tmp_path_factory, issuer):
    """A server that believes the issuer, takes the prefix from a claim and an administrator from another."""
    flags = ["--oidc-issuer", issuer.url, "--oidc-audience", Issuer.AUDIENCE, "--oidc-prefix-claim", "tenant"]
    flags += ["--oidc-admin-claim", "roles=files-admin"]
    server = Server(tmp_path_factory.mktemp("trusting"), *flags).start()
    yield server
    assert server.stop() == 0, server.log.read_text()[-4000:]


@pytest.mark.parametrize("signed_by", ["rsa", "ec"])
def test_a_token_of_the_issuer_makes_its_holder_a_caller_with_a_prefix(trusting, issuer, signed_by):
    api = trusting.api_as(issuer.token(issuer.claims(tenant="acme/", sub=f"user of {signed_by}"), signed_by=signed_by))
    body = some_bytes(1_000, signed_by)
    key = api.put(body, len(body), filename="a.bin")
    assert key.startswith("acme/")
    kept.archived_bytes_are(trusting, {key: sha256(body)}, key)
    assert key in [upload["key"] for upload in api.uploads()]
    assert all(upload["key"].startswith("acme/") for upload in api.uploads())
    assert not api.get("/api/server")["caller"]["may_steer"]


def test_the_admin_claim_makes_an_administrator(trusting, issuer):
    api = trusting.api_as(issuer.token(issuer.claims(tenant="acme/", roles=["reader", "files-admin"])))
    assert api.get("/api/server")["caller"]["may_steer"]
    api = trusting.api_as(issuer.token(issuer.claims(tenant="acme/", roles=["files-admins"])))
    assert not api.get("/api/server")["caller"]["may_steer"]


NOW = int(time.time())
TOKENS = {
    "alg-none": lambda it: it.token(it.claims(tenant="acme/"), {"alg": "none", "kid": None}, "nobody"),
    "alg-None": lambda it: it.token(it.claims(tenant="acme/"), {"alg": "None"}, "nobody"),
    "alg-none-with-a-kid": lambda it: it.token(it.claims(tenant="acme/"), {"alg": "none"}, "nobody"),
    "no-alg": lambda it: it.token(it.claims(tenant="acme/"), {"alg": None}),
    "hs256-with-the-public-key": lambda it: it.token(it.claims(tenant="acme/"), {"alg": "HS256"}, "the-public-key"),
    "rs256-said-of-ec": lambda it: it.token(it.claims(tenant="acme/"), {"alg": "RS256", "kid": "ec"}, "ec"),
    "no-signature": lambda it: it.token(it.claims(tenant="acme/"), signed_by="nobody"),
    "signature-cut-off": lambda it: it.token(it.claims(tenant="acme/")).rpartition(".")[0],
    "key-never-published": lambda it: it.token(it.claims(tenant="acme/"), signed_by="foreign"),
    "key-of-its-own-in-the-head": lambda it: it.token(
        it.claims(tenant="acme/"), {"jwk": {"kty": "oct", "k": "AAAA"}, "kid": None}, "foreign"
    ),
    "keys-from-elsewhere": lambda it: it.token(it.claims(tenant="acme/"), {"jku": "http://127.0.0.1:9/keys"}, "foreign"),
    "kid-of-nobody": lambda it: it.token(it.claims(tenant="acme/"), {"kid": "../../etc/passwd"}, "foreign"),
    "wrong-issuer": lambda it: it.token(it.claims(tenant="acme/", iss="http://127.0.0.1:9")),
    "issuer-with-a-slash": lambda it: it.token(it.claims(tenant="acme/", iss=it.url + "/")),
    "no-issuer": lambda it: it.token(it.claims(tenant="acme/", iss=None)),
    "wrong-audience": lambda it: it.token(it.claims(tenant="acme/", aud="somebody-else")),
    "audience-begins-alike": lambda it: it.token(it.claims(tenant="acme/", aud=Issuer.AUDIENCE + "-too")),
    "no-audience": lambda it: it.token(it.claims(tenant="acme/", aud=None)),
    "ended": lambda it: it.token(it.claims(tenant="acme/", exp=NOW - 3_600)),
    "no-end": lambda it: it.token(it.claims(tenant="acme/", exp=None)),
    "end-a-word": lambda it: it.token(it.claims(tenant="acme/", exp="never")),
    "not-yet": lambda it: it.token(it.claims(tenant="acme/", nbf=NOW + 3_600)),
    "no-prefix": lambda it: it.token(it.claims()),
    "prefix-a-number": lambda it: it.token(it.claims(tenant=1)),
    "prefix-empty": lambda it: it.token(it.claims(tenant="")),
    "prefix-of-everybody": lambda it: it.token(it.claims(tenant="/")),
    "prefix-upwards": lambda it: it.token(it.claims(tenant="../")),
    "prefix-reserved": lambda it: it.token(it.claims(tenant="_results/")),
    "claims-changed": lambda it: ".".join(
        [it.token(it.claims(tenant="acme/")).split(".")[0], it.token(it.claims(tenant="other/")).split(".")[1]]
        + [it.token(it.claims(tenant="acme/")).split(".")[2]]
    ),
    "four-pieces": lambda it: it.token(it.claims(tenant="acme/")) + ".x",
    "critical-and-unknown": lambda it: it.token(it.claims(tenant="acme/"), {"crit": ["x"], "x": 1}),
}


@pytest.mark.parametrize("forge", TOKENS.values(), ids=TOKENS.keys())
def test_a_token_that_is_wrong_in_anything_is_refused(trusting, issuer, forge):
    with pytest.raises(Refused) as no:
        trusting.api_as(forge(issuer)).get("/api/server")
    assert no.value.status == 401, no.value
    assert no.value.detail
    good = trusting.api_as(issuer.token(issuer.claims(tenant="acme/")))
    assert good.get("/api/server")["caller"]


@pytest.fixture
def secure(make_server, tmp_path):
    """A server with TLS on both listeners and one caller."""
    certificate, key = certificates.write(tmp_path)
    callers = token_file(tmp_path, caller("partner", PARTNER, prefix="partner/"))
    return make_server("--tls-cert", certificate, "--tls-key", key, "--token-file", callers, certificate=certificate)


def test_boto3_and_the_api_work_over_tls(secure, tmp_path):
    assert secure.endpoint.startswith("https://") and secure.web.startswith("https://")
    body = some_bytes(6 * MIB, "tls")
    secure.s3().put_object(Bucket="staging", Key="tls/boto3", Body=body)
    key = secure.api_as(PARTNER).put(body, len(body), filename="tls.bin")
    grant = secure.api_as(PARTNER).credentials(filename="lent.bin")
    assert grant["endpoint"].startswith("https://")
    secure.s3(Key.of_grant(grant)).put_object(Bucket="staging", Key=grant["key"], Body=body, IfNoneMatch="*")
    kept.archived_bytes_are(secure, dict.fromkeys(["tls/boto3", key, grant["key"]], sha256(body)))
    assert secure.client("sts").get_caller_identity()["Arn"].endswith(":root")


def test_the_aws_cli_works_over_tls(secure, tmp_path):
    digest = write_large(tmp_path / "up.bin", 20 * MIB, "tls")
    environment = aws_environment(secure, tmp_path)
    run([needed("aws"), "s3", "cp", "up.bin", "s3://staging/tls/cli.bin"], environment, tmp_path)
    kept.archived_bytes_are(secure, {"tls/cli.bin": digest})
    run([needed("aws"), "s3", "cp", "s3://archive/tls/cli.bin", "down.bin"], environment, tmp_path)
    assert tree.sha256_of_file(tmp_path / "down.bin") == digest


def test_our_own_commands_work_over_tls(secure, tmp_path):
    (tmp_path / "put.txt").write_bytes(b"put over tls")
    secure.run("put", tmp_path / "put.txt")
    kept.staging_is_empty(secure)
    shown = json.loads(secure.run("status", "--json").stdout)["uploads"]
    assert [upload["state"] for upload in shown] == ["archived"]


def test_curl_works_over_tls_and_refuses_a_certificate_it_does_not_know(secure, tmp_path):
    body = some_bytes(100_000, "curl")
    (tmp_path / "curl.bin").write_bytes(body)
    grant = secure.api_as(PARTNER).post("/api/signedurl", {"filename": "curl.bin", "size": len(body)})
    headers = [word for name, value in grant["headers"].items() if name.lower() != "content-length" for word in ("-H", f"{name}: {value}")]
    command = [needed("curl"), "-sS", "--fail-with-body", *headers, "-T", str(tmp_path / "curl.bin"), grant["url"]]
    refused_by_curl = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused_by_curl.returncode == 60, refused_by_curl.stderr
    run([*command, "--cacert", str(secure.certificate)], None)
    kept.archived_bytes_are(secure, {grant["key"]: sha256(body)})


def test_plain_http_on_a_listener_with_tls_gives_nothing_away(secure):
    for url in (secure.endpoint, secure.web):
        plain = url.replace("https://", "http://")
        answers = exchange(plain, f"GET / HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode())
        assert all(400 <= status < 500 for status in answers)


def test_a_new_certificate_is_taken_up_without_a_restart(secure, tmp_path):
    def shown():
        at = urlsplit(secure.web)
        return ssl.get_server_certificate((at.hostname, at.port))

    before = shown()
    certificates.write(tmp_path)
    until("the new certificate is shown", lambda: shown() != before, within_s=60)
    # The file now holds the new one, and clients that trust it get on.
    assert secure.api_as(PARTNER).get("/api/server")["caller"]["name"] == "partner"
    assert secure.s3().list_buckets()["Buckets"]


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_the_page_asks_for_the_token_and_then_sends(make_server, tmp_path, tls):
    callers = token_file(tmp_path, caller("partner", PARTNER, prefix="partner/"))
    flags, how = ["--token-file", callers], {}
    if tls:
        certificate, key = certificates.write(tmp_path)
        flags += ["--tls-cert", certificate, "--tls-key", key]
        how = {"certificate": certificate}
    server = make_server(*flags, **how)
    bodies = {"small.txt": some_bytes(1_000, "small"), "large.bin": some_bytes(17 * MIB, "large")}
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
    done = programs.browser(
        server,
        tmp_path,
        "page_sign_in.mjs",
        token=PARTNER,
        wrong=STRANGER,
        files=[str(tmp_path / name) for name in bodies],
        insecure=tls,
    )
    assert done["complaints"] == []
    assert done["sentToS3"] == [], "the token is for the API alone"
    kept.staging_is_empty(server)
    s3 = server.s3()
    found = {key: kept.sha256_in(s3, "archive", key) for key in kept.keys(s3, "archive")}
    assert all(key.startswith("partner/") for key in found)
    assert {key.rsplit("/")[-1]: digest for key, digest in found.items()} == {
        name: sha256(body) for name, body in bodies.items()
    }


def test_no_secret_stands_in_a_log(make_server, tmp_path):
    callers = token_file(tmp_path, caller("partner", PARTNER))
    server = make_server("--token-file", callers, "--log", "trace")
    partner = server.api_as(PARTNER)
    body = some_bytes(1_000, "log")
    grant = partner.post("/api/signedurl", {"filename": "logged.bin", "size": len(body)})
    lent = partner.credentials(filename="lent.bin")
    form = partner.form(filename="form.bin")
    send("PUT", grant["url"], grant["headers"], body)
    send("PUT", grant["url"] + "x", grant["headers"], body)
    server.s3(Key.of_grant(lent)).put_object(Bucket="staging", Key=lent["key"], Body=body, IfNoneMatch="*")
    with pytest.raises(Refused):
        server.api_as(STRANGER).get("/api/server")
    kept.staging_is_empty(server)
    log = server.log.read_text()
    secrets = {
        "partner's token": PARTNER,
        "wrong token": STRANGER,
        "admin token": server.api.token,
        "root secret": server.root.secret_access_key,
        "lent secret": lent["secret_key"],
        "session token": lent["session_token"],
        "signature of the URL": grant["url"].rsplit("X-Amz-Signature=")[-1][:64],
        "signature of the form": next(v for n, v in form["fields"].items() if n.lower() == "x-amz-signature"),
        "digest of the token": hashlib.sha256(PARTNER.encode()).hexdigest(),
    }
    assert [name for name, secret in secrets.items() if secret in log] == []
