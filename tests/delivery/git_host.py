"""A stand-in for the pull requests of GitHub Enterprise and of Gitea, beside a real Git server."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.delivery.git_server import AUTHORIZATION, TOKEN, GitServer, served
from tests.delivery.test_repository import git

PATHS = {"github": "/api/v3/repos/team/delivery/pulls", "gitea": "/api/v1/repos/team/delivery/pulls"}
LOGINS = {"github": f"Bearer {TOKEN}", "gitea": AUTHORIZATION}
ACCEPTS = {"github": "application/vnd.github+json", "gitea": "application/json"}


class Pulls:
    """The requests of ``team/delivery``; ``trouble`` is answered instead, if it is set."""

    def __init__(self, kind: str) -> None:
        self.kind, self.made, self.asked = kind, [], []
        self.trouble: tuple[int, bytes] | None = None
        self.server: GitServer

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        address = urlsplit(path)
        self.asked.append(method)
        if self.trouble:
            return self.trouble
        if address.path != PATHS[self.kind]:
            return _told(404, message="Not Found")
        if headers["Authorization"] != LOGINS[self.kind]:
            return _told(401, message="Bad credentials")
        assert headers["Accept"] == ACCEPTS[self.kind]
        assert headers["X-GitHub-Api-Version"] == ("2022-11-28" if self.kind == "github" else None)
        if method == "GET":
            return self._list(dict(parse_qsl(address.query, strict_parsing=True)))
        assert (method, headers["Content-Type"]) == ("POST", "application/json")
        return self._make(**json.loads(body))

    def _make(self, *, title: str, head: str, base: str, body: str) -> tuple[int, bytes]:
        """As both answer; a branch must be there, in the real repository."""
        git(self.server.folder, "show-ref", "--verify", f"refs/heads/{head}", f"refs/heads/{base}")
        if any(each["head"]["ref"] == head and each["state"] == "open" for each in self.made):
            if self.kind == "gitea":
                return _told(409, message="pull request already exists for these targets [id: 1]")
            again = {"resource": "PullRequest", "code": "custom"}
            again["message"] = f"A pull request already exists for team:{head}."
            return _told(422, message="Validation Failed", errors=[again])
        page = f"{self.server.url.removesuffix('.git')}/pull/{len(self.made) + 1}"
        made = {"html_url": page, "state": "open", "title": title, "body": body}
        here = {"repo": {"full_name": "team/delivery"}}
        self.made.append(made | {"head": {"ref": head, **here}, "base": {"ref": base, **here}})
        return 201, json.dumps(self.made[-1]).encode()

    def _list(self, query: dict[str, str]) -> tuple[int, bytes]:
        """Gitea knows no filter by head."""
        assert query.pop("state") == "open"
        found = [each for each in self.made if each["state"] == "open"]
        if self.kind == "github":
            head = query.pop("head").removeprefix("team:")
            assert query == {"base": "main"}
            found = [each for each in found if each["head"]["ref"] == head]
        else:
            assert query == {"base_branch": "main", "sort": "recentupdate", "limit": "50"}
        return 200, json.dumps(found).encode()


@contextmanager
def hosted(root: Path, kind: str) -> Iterator[Pulls]:
    """Serve ``team/delivery.git``, and its pull requests."""
    pulls = Pulls(kind)
    with served(root, "team/delivery.git", pulls) as pulls.server:
        yield pulls


def _told(status: int, **content: object) -> tuple[int, bytes]:
    return status, json.dumps(content).encode()
