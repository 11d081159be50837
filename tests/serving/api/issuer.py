"""An issuer of tokens with real keys, and an HTTP server that shows the public ones."""

import contextlib
import json
import time
from http.server import BaseHTTPRequestHandler

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import get_default_algorithms

from tests.http_server import serving

ISSUER, AUDIENCE = "https://issuer.example", "bonafide"


class Issuer:
    """Signs with the key of an id; ``shown`` are the ids in its key set."""

    def __init__(self):
        self.keys = {}
        self.shown = []
        self.fetches = 0
        self.answer = None

    def add(self, identity, algorithm="ES256", bits=2048):
        make = {
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
            "RS256": lambda: rsa.generate_private_key(65537, bits),
        }
        self.keys[identity] = (algorithm, make[algorithm]())
        self.shown.append(identity)

    def public(self, identity):
        algorithm, key = self.keys[identity]
        return get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)

    def key_set(self):
        if self.answer is not None:
            return self.answer
        keys = [self.public(identity) | {"kid": identity, "use": "sig"} for identity in self.shown]
        return json.dumps({"keys": keys}).encode()

    def token(self, identity, header=None, **claims):
        algorithm, key = self.keys[identity]
        return jwt.encode(payload(**claims), key, algorithm, {"kid": identity} | (header or {}))

    @contextlib.contextmanager
    def served(self):
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.fetches += 1
                content = issuer.key_set()
                self.send_response(200 if content else 500)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        with serving(Handler) as address:
            yield f"{address}/keys"


def payload(**claims):
    """Good claims, changed; those that are None are left out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "exp": now + 60, "scope": "predict batch explain"}
    return {name: value for name, value in (good | claims).items() if value is not None}
