"""Tokens for development, and what a token may allow; quick to import."""

import time
from collections.abc import Collection

import jwt

from bonafide.serving.api.settings import Settings

SCOPES = {
    "predict": "Ask about one input.",
    "batch": "Ask about several at once.",
    "explain": "See where the evidence lies.",
    "feedback": "Say which labels are right.",
    "train": "Start pipelines, look at their runs and cancel them.",
    "alerts": "Send alerts, which start pipelines.",
}
PREDICTIONS = ("predict", "batch", "explain")
SHARED = ("HS256",)


def development_token(settings: Settings, subject: str, scopes: Collection[str], hours: float) -> str:
    """A token signed with the shared secret of ``settings``."""
    now = int(time.time())
    claims = {
        "iss": settings.issuer,
        "aud": settings.audience,
        "sub": subject,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + int(3600 * hours),
    }
    return jwt.encode(claims, settings.secret.get_secret_value(), algorithm=SHARED[0])
