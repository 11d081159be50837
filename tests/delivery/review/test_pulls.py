"""What the hosts are asked, and what comes of each of their answers."""

import json
from pathlib import Path

import httpx
import pytest

from bonafide.delivery.review import pulls
from bonafide.delivery.review.hosts import Kind, Project
from bonafide.delivery.review.pulls import named, open_request, push_options
from bonafide.errors import DeliveryError
from tests import http_server
from tests.delivery.git_server import TOKEN

pytestmark = pytest.mark.usefixtures("no_git_settings")
BRANCH, TITLE, BODY = "promote/prod/pets-2", "Promote pets version 2 in prod", "Run: abc\nGate: passed"
GITLAB = Project(Kind.GITLAB, "https://gitlab.com", "team/delivery", "")


def project(kind: str, url: str) -> Project:
    return Project(
        Kind(kind), url, "team/delivery", f"http://bonafide:{TOKEN}@{url.removeprefix('http://')}/x"
    )


def ask(kind: str, url: str) -> str:
    return open_request(project(kind, url), Path("/"), BRANCH, TITLE, BODY)


def answering(*answers):
    """A server that gives these, one after another: status and content."""
    waiting = list(answers)

    class Handler(http_server.Handler):
        def answer(self):
            self.body()
            status, content = waiting.pop(0)
            self.reply(status, {}, content if isinstance(content, bytes) else json.dumps(content).encode())

    return http_server.serving(Handler)


@pytest.mark.parametrize("kind", ["github", "gitea"])
@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (401, {"message": "Bad credentials"}, "401: Bad credentials; the password .* does not hold there"),
        (403, {"message": "Resource not accessible"}, "403: Resource not accessible; .*may not open pull"),
        (404, {"message": "Not Found"}, "404: Not Found; there is no such repository, or"),
        (
            422,
            {"message": "Validation Failed", "errors": [{"message": "No commits between main and x"}]},
            "422: Validation Failed: No commits between main and x",
        ),
        (
            422,
            {
                "message": "Validation Failed",
                "errors": [{"resource": "PullRequest", "field": "base", "code": "invalid"}, "odd", {}],
            },
            "422: Validation Failed: base invalid$",
        ),
        (409, {"message": "archived", "errors": None}, "409: archived"),
        (502, b"<html>", "502: Bad Gateway"),
        (500, ["?"], "500: Internal Server Error"),
        (301, b"", "301: Moved Permanently"),
        (200, b"<html>Sign in</html>", "answers what cannot be read; is it the host's API"),
        (201, {"html_url": None}, "answers what cannot be read"),
        (201, [], "answers what cannot be read"),
    ],
)
def test_each_answer_that_is_none_is_told(kind, status, content, said):
    with (
        answering((status, content), (200, [])) as url,
        pytest.raises(DeliveryError, match=rf"^{url}/api/v\d/repos/team/delivery/pulls.*{said}") as told,
    ):
        ask(kind, url)
    assert TOKEN not in str(told.value)


@pytest.mark.parametrize("found", [{"head": {}}, [{"head": None}], [{"head": {"ref": BRANCH}}]])
def test_a_list_that_cannot_be_read_is_told(found):
    with answering((422, {"message": "no"}), (200, found)) as url, pytest.raises(DeliveryError, match="read"):
        ask("github", url)


def listed(page: str, repository: str | None, ref: str = BRANCH) -> dict:
    """A request as both hosts list it; a fork that was deleted is null."""
    head = {"ref": ref, "repo": repository and {"full_name": repository}}
    return {"html_url": page, "head": head, "base": {"ref": "main", "repo": {"full_name": "Team/delivery"}}}


@pytest.mark.parametrize("kind", ["github", "gitea"])
@pytest.mark.parametrize(
    "other",
    [
        listed("https://x/1", "Team/delivery", f"{BRANCH}0"),
        listed("https://x/1", "anna/delivery"),
        listed("https://x/1", "Team/fork"),
        listed("https://x/1", None),
    ],
)
def test_a_request_of_another_branch_or_of_a_fork_is_not_taken_for_it(kind, other):
    no = 409, {"message": "no"}
    with answering(no, (200, [other])) as url, pytest.raises(DeliveryError, match=r"no$"):
        ask(kind, url)
    with answering(no, (200, [other, listed("https://x/2", "Team/delivery")])) as url:
        assert ask(kind, url) == "https://x/2"


def test_a_host_that_is_away_or_silent_is_told(monkeypatch):
    with answering() as url:
        pass
    with pytest.raises(DeliveryError, match=rf"{url}/api/v3/.* cannot be reached: ") as told:
        ask("github", url)
    assert TOKEN not in str(told.value)
    monkeypatch.setattr(pulls, "TIMEOUT", httpx.Timeout(0.05))

    class Silent(http_server.Handler):
        def answer(self):
            waited.wait()

    waited = http_server.threading.Event()
    with http_server.serving(Silent) as url:
        with pytest.raises(DeliveryError, match=r"cannot be reached: (timed out|ReadTimeout)"):
            ask("gitea", url)
        waited.set()


def test_a_password_that_cannot_be_a_token_is_not_shown(monkeypatch):
    monkeypatch.setattr(pulls, "login", lambda *_: ("bot", "hush\thush"))
    with pytest.raises(DeliveryError, match="Git has for http://localhost is no token") as told:
        ask("github", "http://localhost")
    assert "hush" not in str(told.value)


def test_gitlab_is_told_by_the_push():
    assert push_options(GITLAB, TITLE, BODY) == [
        "merge_request.create",
        "merge_request.target=main",
        f"merge_request.title={TITLE}",
        "merge_request.description=Run: abc\\nGate: passed",
    ]
    assert push_options(project("github", "http://localhost"), TITLE, BODY) == []


def test_its_answer_names_the_request():
    page = "https://gitlab.com/team/delivery/-/merge_requests/7"
    said = f"remote: \nremote: View merge request for {BRANCH}:\nremote:   {page}\nremote: \nTo x\n"
    assert named(said) == page
    new = "https://gitlab.com/team/delivery/-/merge_requests/new?merge_request%5Bsource_branch%5D=x"
    said = f"remote: WARNINGS:\nremote: Error with 'merge_request.create': User is required\nremote: {new}\n"
    with pytest.raises(DeliveryError, match=r"it says: WARNINGS: Error .* User is required"):
        named(said)
