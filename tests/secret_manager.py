"""Google's Secret Manager, as far as a step asks it: answers are of the vendor's own types."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import google_crc32c
from google.cloud.secretmanager_v1 import AccessSecretVersionResponse, SecretPayload

from tests.http_server import JsonHandler, RefusedError, serving

NAME = r"/v1/(projects/[\w-]+(?:/locations/[\w-]+)?/secrets/[\w-]+/versions/(?:\d+|latest)):access"


@dataclass
class SecretManager:
    """``held`` are contents by name, ``closed`` names that the caller may not read."""

    url: str = ""
    held: dict[str, bytes] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    failing: int = 0
    damaged: bool = False

    def access(self, method: str, path: str) -> Any:
        found = re.fullmatch(NAME, path)
        if method != "GET" or not found:
            raise RefusedError(400, f"no way {method} {path}")
        if self.failing:
            self.failing -= 1
            raise RefusedError(503, "the service is away")
        name = found[1]
        if name in self.closed:
            raise RefusedError(
                403, f"Permission 'secretmanager.versions.access' denied for resource '{name}'"
            )
        if name not in self.held:
            raise RefusedError(404, f"Secret Version [{name}] not found.")
        content = self.held[name]
        payload = SecretPayload(data=content, data_crc32c=google_crc32c.value(content) + self.damaged)
        told = AccessSecretVersionResponse(name=name, payload=payload)
        return json.loads(AccessSecretVersionResponse.to_json(told))


@contextmanager
def served() -> Iterator[SecretManager]:
    """A server of its own."""
    state = SecretManager()

    class Handler(JsonHandler):
        def ask(self, path: str, query: dict[str, list[str]], body: Any) -> Any:
            return state.access(self.command, path)

    with serving(Handler) as state.url:
        yield state
