"""Pull requests: by the REST APIs of GitHub and of Gitea, which is Forgejo's too, and by push to GitLab."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from bonafide.delivery.checkout import BRANCH
from bonafide.delivery.review.credentials import login
from bonafide.delivery.review.hosts import Kind, Project
from bonafide.errors import DeliveryError
from bonafide.home import without_secrets

TIMEOUT = httpx.Timeout(30, connect=5)
THERE_IS_ONE = (409, 422)
HINTS = {
    401: "the password that Git has for it does not hold there",
    403: "the password that Git has for it may not open pull requests",
    404: "there is no such repository, or the password that Git has for it may not see it",
}
TOKEN = re.compile("[!-~]+")
MERGE_REQUEST = re.compile(r"https?://\S+/merge_requests/\d+")
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


def push_options(project: Project, title: str, body: str) -> list[str]:
    """What a push says to GitLab so that it opens a merge request; nothing to others."""
    if project.kind is not Kind.GITLAB:
        return []
    lines = body.replace("\n", r"\n")  # which GitLab turns back; an option is one line
    asked = {"target": BRANCH, "title": title, "description": lines}
    return ["merge_request.create", *(f"merge_request.{name}={value}" for name, value in asked.items())]


def named(said: str) -> str:
    """The address of the merge request that GitLab names in its answer to a push.

    Raises:
        DeliveryError: it names none.
    """
    if found := MERGE_REQUEST.search(said):
        return found[0]
    told = " ".join(said.replace("remote:", " ").split())
    raise DeliveryError(f"GitLab names no merge request; it says: {told}")


def open_request(project: Project, folder: Path, branch: str, title: str, body: str) -> str:
    """Open a request to merge a branch into ``main``, or find the one that is open.

    Args:
        folder: the repository that the branch was pushed from.

    Returns:
        its address, for people.

    Raises:
        DeliveryError: Git has no password for the host, or the host does not answer, refuses, or says
            something else.
    """
    wanted = {"title": title, "head": branch, "base": BRANCH, "body": body}
    with httpx.Client(headers=_headers(project, folder), timeout=TIMEOUT) as http:
        answer = _ask(http, "POST", project.pulls, json=wanted)
        if answer.status_code in THERE_IS_ONE and (found := _open(http, project, branch)):
            return found
    return _read(answer, lambda made: without_secrets(made["html_url"]))


def _open(http: httpx.Client, project: Project, branch: str) -> str:
    """The address of the open request for a branch; empty if there is none."""
    if project.kind is Kind.GITHUB:
        which = {"base": BRANCH, "head": f"{project.owner}:{branch}"}
    else:
        which = {"base_branch": BRANCH, "sort": "recentupdate", "limit": "50"}
    answer = _ask(http, "GET", project.pulls, params={"state": "open", **which})
    return _read(
        answer,
        lambda found: next(
            (without_secrets(each["html_url"]) for each in found if _is_from(each, branch)), ""
        ),
    )


def _is_from(request: Any, branch: str) -> bool:
    """Whether it is for the repository's own branch; a fork may have one of that name, and the same owner."""
    head, base = request["head"], request["base"]
    own = head["repo"] and head["repo"]["full_name"] == base["repo"]["full_name"]  # null: a deleted fork
    return bool(own and head["ref"] == branch)


def _headers(project: Project, folder: Path) -> dict[str, str]:
    name, password = login(project.login, folder)
    if project.kind is Kind.GITEA:
        basic = base64.b64encode(f"{name}:{password}".encode()).decode()
        return {"Accept": "application/json", "Authorization": f"Basic {basic}"}
    if not TOKEN.fullmatch(password):
        raise DeliveryError(f"the password that Git has for {project.root} is no token")
    return {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {password}",
        "X-GitHub-Api-Version": "2022-11-28",
    }


def _ask(http: httpx.Client, method: str, url: str, **more: Any) -> httpx.Response:
    try:
        return http.request(method, url, **more)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise DeliveryError(f"{without_secrets(url)} cannot be reached: {reason}") from error


def _read(answer: httpx.Response, read: Callable[[Any], str]) -> str:
    where = without_secrets(str(answer.url.copy_with(query=None)))
    try:
        if answer.is_success:
            return read(answer.json())
        told = _message(answer.json())
    except UNREADABLE as error:
        if answer.is_success:
            raise DeliveryError(f"{where} answers what cannot be read; is it the host's API?") from error
        told = answer.reason_phrase
    hint = HINTS.get(answer.status_code)
    raise DeliveryError(f"{where} answers {answer.status_code}: {told}" + (f"; {hint}" if hint else ""))


def _message(content: Any) -> str:
    more = [_detail(each) for each in content.get("errors") or () if isinstance(each, dict)]
    return ": ".join([content["message"], *filter(None, more)])


def _detail(error: dict[str, str]) -> str:
    """GitHub's own words, which it has for few, or the field and a code."""
    return error.get("message") or " ".join(error[name] for name in ("field", "code") if name in error)
