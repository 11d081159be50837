import asyncio
import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bonafide.serving.api import auth, keys, tokens
from bonafide.serving.api.settings import Settings
from tests.patience import until
from tests.serving.api.conftest import RED, problem
from tests.serving.api.issuer import AUDIENCE, ISSUER, Issuer, payload

SECRET = "a shared secret that is long enough for each of the algorithms: 64 bytes"


@pytest.fixture
def issuer():
    made = Issuer()
    made.add("ec")
    made.add("rsa", "RS256")
    return made


@pytest.fixture
def jwks(issuer):
    with issuer.served() as address:
        yield address


@pytest.fixture
def guarded(serve, jwks):
    return serve(jwks=jwks, issuer=ISSUER, audience=AUDIENCE)


@pytest.fixture
def shared(serve):
    return serve(secret=SECRET, issuer=ISSUER, audience=AUDIENCE)


def ask(client, token=None, path="/predict"):
    headers = {"authorization": f"Bearer {token}"} if token is not None else {}
    return client.post(path, files={"images" if path.endswith("batch") else "image": RED}, headers=headers)


def refused_soon(status, client, token):
    """Keys are fetched beside the requests that they serve, so a change takes a moment."""
    problem(until(lambda: ask(client, token), lambda response: response.status_code == status), status)


def encoded(part):
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def forged(header, secret, **claims):
    """A token that HMAC signs with ``secret``, whatever its header says; PyJWT would refuse to make it."""
    head = b".".join(encoded(json.dumps(part).encode()) for part in (header, payload(**claims)))
    return (head + b"." + encoded(hmac.digest(secret, head, hashlib.sha256))).decode()


@pytest.mark.parametrize("key", ["ec", "rsa"])
def test_a_token_of_the_issuer_opens(guarded, issuer, key):
    assert ask(guarded, issuer.token(key)).json()["label"] == "red"


def test_no_token_is_told_how_to_come_by_one(guarded):
    response = ask(guarded)
    problem(response, 401)
    assert response.headers["www-authenticate"] == 'Bearer realm="bonafide"'
    problem(guarded.post("/predict", headers={"authorization": "Basic YTpi"}), 401)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": int(time.time()) - 60}, "the token has expired"),
        ({"exp": "soon"}, "the token's form or signature does not hold"),
        ({"nbf": int(time.time()) + 36_000}, "the token is not valid yet"),
        ({"iat": int(time.time()) + 36_000}, "the token is not valid yet"),
        ({"aud": "other"}, "the token is for another audience"),
        ({"aud": ["other", "another"]}, "the token is for another audience"),
        ({"iss": "https://evil.example"}, "the token is from another issuer"),
        ({"sub": ""}, "the token's subject is empty or too long"),
        ({"sub": "a" * 300}, "the token's subject is empty or too long"),
        ({"more": "a" * 8000}, "the token is too long"),
        *(({name: None}, "the token must have the claims exp, iss, aud, sub") for name in auth.REQUIRED),
    ],
)
def test_claims_are_checked(guarded, issuer, claims, reason):
    response = ask(guarded, issuer.token("ec", **claims))
    assert problem(response, 401)["detail"] == reason
    assert response.headers["www-authenticate"] == (
        f'Bearer realm="bonafide", error="invalid_token", error_description="{reason}"'
    )


def test_clocks_may_differ_a_little(guarded, issuer):
    now = int(time.time())
    assert ask(guarded, issuer.token("ec", exp=now - 10, nbf=now + 10, iat=now + 10)).status_code == 200


def test_several_audiences_may_be_meant(guarded, issuer):
    assert ask(guarded, issuer.token("ec", aud=["other", AUDIENCE])).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        {"scope": "other predict"},
        {"scope": None, "scp": ["predict"]},
        {"scope": None, "scp": "other predict"},
    ],
)
def test_the_scope_of_the_path_is_needed(guarded, issuer, given):
    token = issuer.token("ec", **given)
    assert ask(guarded, token).status_code == 200
    for path, scope in (("/predict/explain", "explain"), ("/predict/batch", "batch")):
        response = ask(guarded, token, path)
        assert problem(response, 403)["detail"] == f"the token lacks the scope {scope}"
        assert f'error="insufficient_scope", scope="{scope}"' in response.headers["www-authenticate"]


@pytest.mark.parametrize("scope", ["", None, {"predict": True}, 1, "prediction", ["predict "]])
def test_other_scopes_open_nothing(guarded, issuer, scope):
    problem(ask(guarded, issuer.token("ec", scope=scope)), 403)


def test_a_public_key_is_no_shared_secret(guarded, issuer):
    """The classic confusion: HS256 with the public key, which everybody has, as its secret."""
    for identity in ("rsa", "ec"):
        public = issuer.keys[identity][1].public_key()
        for encoding in (Encoding.PEM, Encoding.DER):
            secret = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
            problem(ask(guarded, forged({"alg": "HS256", "kid": identity}, secret)), 401)
        problem(ask(guarded, forged({"alg": "HS256", "kid": identity}, issuer.key_set())), 401)


@pytest.mark.parametrize("algorithm", ["none", "None", "", "HS256", "RS512", "ES384", "PS256", None, 7])
def test_a_token_does_not_choose_its_algorithm(guarded, issuer, algorithm):
    _, body, signature = issuer.token("ec").split(".")
    for kid in ("ec", "rsa"):
        header = encoded(json.dumps({"alg": algorithm, "kid": kid}).encode()).decode()
        for signed in ("", signature):
            problem(ask(guarded, f"{header}.{body}.{signed}"), 401)


def test_keys_do_not_change_places(guarded, issuer):
    problem(ask(guarded, issuer.token("ec", header={"kid": "rsa"})), 401)
    problem(ask(guarded, issuer.token("rsa", header={"kid": "ec"})), 401)


def test_a_token_does_not_bring_its_key(guarded, issuer):
    evil = Issuer()
    evil.add("ec")
    header = {"jwk": evil.public("ec"), "jku": "https://evil.example/keys"}
    problem(ask(guarded, evil.token("ec", header=header)), 401)


@pytest.mark.parametrize("identity", [None, 5, "", "x" * 200, ["ec"]])
def test_a_token_must_name_a_key(guarded, issuer, identity):
    header = {"alg": "ES256", "kid": identity}
    problem(ask(guarded, forged(header, b"any")), 401)


def test_secrets_and_other_curves_in_the_key_set_are_left_out(guarded, issuer):
    issuer.add("curve", "ES384")
    content = json.loads(issuer.key_set())
    secret = b"0123456789abcdef0123456789abcdef"
    content["keys"] += [
        {"kty": "oct", "kid": "secret", "k": encoded(secret).decode()},
        {"kty": "oct", "kid": "named", "alg": "HS256", "k": encoded(secret).decode()},
        {"kty": "new", "kid": "later"},
        issuer.public("ec") | {"kid": "enc", "use": "enc"},
    ]
    issuer.answer = json.dumps(content).encode()
    assert ask(guarded, issuer.token("ec")).status_code == 200
    for identity in ("secret", "named"):
        problem(ask(guarded, forged({"alg": "HS256", "kid": identity}, secret)), 401)
    problem(ask(guarded, issuer.token("curve")), 401)
    problem(ask(guarded, issuer.token("ec", header={"kid": "enc"})), 401)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_weak_key_is_not_enough(guarded, issuer):
    issuer.add("weak", "RS256", bits=1024)
    problem(ask(guarded, issuer.token("weak")), 401)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "é", "e30.e30.", "eyJ.eyJ.x" * 400])
def test_what_is_no_token_is_refused(guarded, token):
    problem(guarded.post("/predict", headers={"authorization": f"Bearer {token}".encode()}), 401)


def test_nothing_is_read_before_the_token(guarded):
    sent = []

    async def receive():
        raise AssertionError("the body was asked for")

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"image/png"), (b"content-length", b"1000")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers, "query_string": b""}
    asyncio.run(guarded.app(scope, receive, send))
    assert sent[0]["status"] == 401


def test_health_and_the_page_need_no_token(guarded):
    for path in ("/health", "/ready", "/metrics", "/docs", "/openapi.json"):
        assert guarded.get(path).status_code == 200


def test_a_shared_secret_opens(shared):
    settings = Settings(secret=SECRET, issuer=ISSUER, audience=AUDIENCE)
    token = tokens.development_token(settings, "anna", ["predict"], 1)
    assert ask(shared, token).status_code == 200
    problem(ask(shared, token, "/predict/explain"), 403)
    problem(ask(shared, tokens.development_token(settings, "anna", ["predict"], -1)), 401)
    problem(ask(shared, jwt.encode(payload(), "another secret that is just as long", "HS256")), 401)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_shared_secret_is_of_one_algorithm(shared, algorithm):
    problem(ask(shared, jwt.encode(payload(), SECRET, algorithm)), 401)


class TestKeySet:
    def test_a_new_key_is_fetched_when_it_is_first_seen(self, guarded, issuer, monkeypatch):
        monkeypatch.setattr(keys, "COOLDOWN_SECONDS", 0)
        assert ask(guarded, issuer.token("ec")).status_code == 200
        issuer.add("next")
        assert ask(guarded, issuer.token("next")).status_code == 200
        assert issuer.fetches == 2

    def test_unknown_keys_do_not_make_it_fetch_without_end(self, guarded, issuer):
        for number in range(5):
            problem(ask(guarded, issuer.token("ec", header={"kid": f"k{number}"})), 401)
        assert issuer.fetches == 1

    def test_a_key_that_is_gone_no_longer_opens(self, guarded, issuer, monkeypatch):
        token = issuer.token("ec")
        assert ask(guarded, token).status_code == 200
        issuer.shown.remove("ec")
        monkeypatch.setattr(keys, "LIFESPAN_SECONDS", 0)
        refused_soon(401, guarded, token)

    @pytest.mark.parametrize(
        "answer", [b"", b"no JSON", b"[]", b'{"keys": []}', b'{"keys": 1}', b"[" * 2**19]
    )
    def test_while_the_issuer_is_away_the_keys_at_hand_serve(self, guarded, issuer, answer, monkeypatch):
        self.check_away(guarded, issuer, answer, monkeypatch)

    def test_a_key_set_without_end_is_not_read(self, guarded, issuer, monkeypatch):
        self.check_away(guarded, issuer, issuer.key_set() + b" " * keys.MAXIMUM_BYTES, monkeypatch)

    def check_away(self, guarded, issuer, answer, monkeypatch):
        token = issuer.token("ec")
        assert ask(guarded, token).status_code == 200
        issuer.answer = answer
        monkeypatch.setattr(keys, "LIFESPAN_SECONDS", 0)
        for _ in range(3):
            assert ask(guarded, token).status_code == 200
        monkeypatch.setattr(keys, "COOLDOWN_SECONDS", 0)
        monkeypatch.setattr(keys, "LONGEST_AWAY_SECONDS", 0)
        refused_soon(503, guarded, issuer.token("ec", header={"kid": "other"}))

    def test_without_any_key_nobody_is_blamed(self, serve, issuer):
        with issuer.served() as address:
            issuer.answer = b""
            client = serve(jwks=address, issuer=ISSUER, audience=AUDIENCE)
            response = ask(client, issuer.token("ec"))
        problem(response, 503)
        assert response.headers["retry-after"] == "10"

    def test_a_file_serves_as_well(self, serve, issuer, tmp_path):
        path = tmp_path / "keys.json"
        path.write_bytes(issuer.key_set())
        client = serve(jwks=str(path), issuer=ISSUER, audience=AUDIENCE)
        assert ask(client, issuer.token("rsa")).status_code == 200
