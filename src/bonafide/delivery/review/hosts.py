"""What the address of a delivery repository says of the host where requests to merge are opened."""

import os
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, urlencode, urlsplit

from bonafide.addresses import is_loopback
from bonafide.delivery.checkout import BRANCH
from bonafide.errors import ConfigError, DeliveryError
from bonafide.home import is_remote, without_secrets

GIT_HOST = "BONAFIDE_GIT_HOST"


class Kind(StrEnum):
    """Whose ways a host has."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"


KNOWN = {"github.com": Kind.GITHUB, "gitlab.com": Kind.GITLAB, "codeberg.org": Kind.GITEA}


@dataclass(frozen=True)
class Project:
    """A repository at its host.

    Attributes:
        root: the host's own address.
        path: the repository's, from there.
        login: the address that Git has a name and a password for.
    """

    kind: Kind
    root: str
    path: str
    login: str = field(repr=False)

    @property
    def owner(self) -> str:
        """Whose repository it is."""
        return self.path.split("/")[-2]

    @property
    def pulls(self) -> str:
        """Where the API has its requests."""
        *below, owner, name = self.path.split("/")
        root = "/".join([self.root, *below])
        if self.kind is Kind.GITEA:
            root += "/api/v1"
        else:
            root = "https://api.github.com" if self.root == "https://github.com" else f"{root}/api/v3"
        return f"{root}/repos/{owner}/{name}/pulls"

    def by_hand(self, branch: str) -> str:
        """The page where a person opens a request for a branch."""
        if self.kind is Kind.GITLAB:
            names = {"merge_request[source_branch]": branch, "merge_request[target_branch]": BRANCH}
            return f"{self.root}/{self.path}/-/merge_requests/new?{urlencode(names)}"
        return f"{self.root}/{self.path}/compare/{BRANCH}...{quote(branch)}"


def project(place: str) -> Project:
    """The project that a delivery repository is at its host.

    Raises:
        DeliveryError: it is a folder, or its address is none of a host's, or would take a password in clear.
        ConfigError: nothing says what kind of host it is.
    """
    if not is_remote(place):
        raise DeliveryError(
            f"{place} is a folder, where nobody is asked; a pull request needs a delivery repository at an "
            "address of GitHub, GitLab, Gitea or Forgejo"
        )
    address = place if "://" in place else f"ssh://{place.replace(':', '/', 1)}"
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    path, host = parts.path.strip("/").removesuffix(".git"), parts.hostname or ""
    if parts.scheme not in ("http", "https", "ssh") or not host or "/" not in path:
        raise DeliveryError(
            f"{without_secrets(place)} names no host and repository for a pull request; "
            "give https://HOST/OWNER/NAME.git or git@HOST:OWNER/NAME.git"
        )
    kind = _kind(host)
    if parts.scheme == "http" and kind is not Kind.GITLAB and not is_loopback(host):
        raise DeliveryError(
            f"{without_secrets(place)} would show Git's password to anybody on the way; use https"
        )
    root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if parts.scheme == "ssh" or host in KNOWN:
        root = f"https://{host}"
    return Project(kind, root, path, f"{root}/{path}.git" if parts.scheme == "ssh" else place)


def _kind(host: str) -> Kind:
    named = KNOWN.get(host) or os.environ.get(GIT_HOST, "")
    try:
        return Kind(named)
    except ValueError:
        said = f"{GIT_HOST} is {named}" if named else f"nothing says what kind of host {host} is"
        raise ConfigError(
            f"{said}; set {GIT_HOST} to {', '.join(Kind)}; a Forgejo is a {Kind.GITEA}"
        ) from None
