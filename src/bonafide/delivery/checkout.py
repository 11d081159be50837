"""The delivery repository on this machine: a folder, or a clone of an address that commits are pushed to."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bonafide.errors import DeliveryError
from bonafide.files import write_bytes, write_json, write_text
from bonafide.home import is_remote, without_secrets

if TYPE_CHECKING:
    from git import Repo

BRANCH = "main"
BONAFIDE = ("Bonafide", "bonafide@localhost")
README = """# Delivery

What runs where. `bonafide` commits here, Argo CD applies it. One folder an environment and task; each commit
carries the model version, run, digests, code version and gate verdict as trailers.
"""
TIMEOUT_SECONDS = 60
WAITS = (1.0, 3.0, 9.0)
# What asking again does not mend.
FINAL = (
    "Authentication failed",
    "could not read Username",
    "Permission denied",
    "Host key verification failed",
    "returned error: 401",
    "returned error: 403",
    "not found",
    "does not appear to be a git repository",
    "nable to find remote helper",
    "rejected]",
)
# Somebody else's push came first; the second is what two at the same moment see.
MOVED = ("[rejected]", "stale info", "cannot lock ref", "incorrect old value")


def require_git() -> None:
    """Stop here without Git.

    Raises:
        DeliveryError: it is not installed.
    """
    try:
        import git  # noqa: F401
    except ImportError as error:  # GitPython looks for the git command when it is imported
        raise DeliveryError("the delivery repository needs git; install it and run again") from error


class Checkout:
    """A delivery repository to read and to commit to. Only what was published counts.

    Args:
        origin: the address that commits are pushed to; empty for a folder, where a commit is all.

    Attributes:
        fetched: the commit that the address had; empty if it had no branch.
    """

    def __init__(self, repository: "Repo", origin: str = "") -> None:
        self.repository = repository
        self.folder = Path(repository.working_dir)
        self.origin = origin
        self.fetched = ""

    def read(self, path: Path) -> str | None:
        """A file as it was last committed; None if there is none."""
        try:
            blob = self.repository.head.commit.tree / path.as_posix()
        except KeyError:
            return None
        return str(blob.data_stream.read().decode())

    def change(self, files: Mapping[Path, str], message: str) -> None:
        """Write files and commit them; nothing is committed if they are so already.

        A change that was killed half-way is taken back by the next.

        Raises:
            DeliveryError: somebody left other changes in the folder, or Git is at work there.
        """
        begun = Path(self.repository.git_dir, "bonafide-change")
        written = {path.as_posix(): _digest(content.encode()) for path, content in sorted(files.items())}
        try:
            head = str(self.repository.head.commit.hexsha)
            if begun.exists():
                left = json.loads(begun.read_text())
                if left["head"] == head:  # else it was committed
                    self._take_back(left["written"])
            self._refuse_uncommitted()
            write_json(begun, {"head": head, "written": written})
            for path, content in files.items():
                write_text(self.folder / path, content)
            self.repository.index.add(list(written))
            if self.repository.index.diff("HEAD"):
                self.commit(message)
            begun.unlink()
        except OSError as error:  # GitPython's own way to say that a lock is held
            raise DeliveryError(
                f"{self.folder}: {error}; if no git runs there, remove the lock file"
            ) from error

    def _take_back(self, written: Mapping[str, str]) -> None:
        """Restore each file that still has the digest of what was written; others are a person's by now."""
        tree = self.repository.head.commit.tree
        if written:
            self.repository.git.reset("--quiet", "HEAD", "--", *written)
        for path, digest in written.items():
            file = self.folder / path
            if not file.exists() or _digest(file.read_bytes()) != digest:
                continue
            try:
                write_bytes(file, (tree / path).data_stream.read())
            except KeyError:
                file.unlink()

    def _refuse_uncommitted(self) -> None:
        index = self.repository.index
        changed = {str(item.a_path) for item in (*index.diff(None), *index.diff("HEAD"))}
        if changed:
            raise DeliveryError(
                f"{self.folder} has uncommitted changes in {', '.join(sorted(changed)[:5])}; "
                "commit or discard them and run again"
            )

    def commit(self, message: str) -> None:
        """Commit what is in the index, as Bonafide."""
        from git import Actor

        who = Actor(*BONAFIDE)
        self.repository.index.commit(message, author=who, committer=who)

    def publish(self) -> bool:
        """Push what was committed.

        Returns:
            False if somebody else pushed meanwhile: the checkout then holds what they made of it, without the
            commits of this one.

        Raises:
            DeliveryError: the repository cannot be reached, or takes no push.
        """
        if not self.origin:
            return True
        try:
            # Only onto what was fetched: a branch that was turned back or removed meanwhile has moved too.
            lease = f"--force-with-lease=refs/heads/{BRANCH}:{self.fetched}"
            self.ask("push", lease, "origin", f"HEAD:refs/heads/{BRANCH}")
        except DeliveryError as error:
            if not any(sign in str(error) for sign in MOVED):
                raise
            self.renew()
            return False
        return True

    def offer(self, branch: str, options: Sequence[str] = ()) -> str:
        """Push what was committed to a branch of its own, in place of whatever that branch held.

        Args:
            options: for the other side. Without them, a branch that holds the same change is left as it is.

        Returns:
            what the other side said.

        Raises:
            DeliveryError: it cannot be reached, takes no push, or somebody pushed there at the same moment.
        """
        ref, held = f"refs/heads/{branch}", ""
        if self.ask("ls-remote", "origin", ref):
            self.ask("fetch", "origin", ref)
            there, mine = (self.repository.commit(name) for name in ("FETCH_HEAD", "HEAD"))
            same = (there.tree, there.parents, there.message) == (mine.tree, mine.parents, mine.message)
            if same and not options:
                return ""
            held = there.hexsha
        given = [f"--push-option={option}" for option in options]
        return self._run(("push", *given, f"--force-with-lease={ref}:{held}", "origin", f"HEAD:{ref}"))[1]

    def renew(self) -> None:
        """Take over what the address holds now; an empty one gets its first commit here.

        Raises:
            DeliveryError: it cannot be reached, or lost its branch meanwhile.
        """
        if self.ask("ls-remote", "origin", f"refs/heads/{BRANCH}"):
            self.ask("fetch", "origin", BRANCH)
            self.ask("reset", "--hard", "FETCH_HEAD")
            self.fetched = self.repository.head.commit.hexsha
        elif self.repository.head.is_valid():
            raise DeliveryError(f"{without_secrets(self.origin)} has no branch {BRANCH} any more")
        else:
            self.start()

    def start(self) -> None:
        """The first commit."""
        write_text(self.folder / "README.md", README)
        self.repository.index.add(["README.md"])
        self.commit("Start the delivery folder")

    def ask(self, *command: str) -> str:
        """What Git prints for a command that needs the network; a lost network is tried again.

        Raises:
            DeliveryError: it was refused, or did not get through.
        """
        return self._run(command)[0]

    def _run(self, command: Sequence[str]) -> tuple[str, str]:
        """What Git prints, and what it says beside it: there is what the other side has to say."""
        from git import GitCommandError

        for wait in (*WAITS, None):
            try:
                _, printed, said = self.repository.git.execute(
                    ["git", *command],
                    env=_environment(),
                    kill_after_timeout=TIMEOUT_SECONDS,
                    with_extended_output=True,
                )
                return str(printed), str(said)
            except GitCommandError as error:
                told = _told(error)
                if wait is None or any(sign in told for sign in FINAL):
                    where = without_secrets(self.origin)
                    raise DeliveryError(f"git {command[0]}, {where}: {told}") from None
                time.sleep(wait)
        raise AssertionError


@contextmanager
def checkout(place: str) -> Iterator[Checkout]:
    """The repository at ``place``: a folder, made on first use, or a clone that is removed afterwards.

    Who may read and push is said by Git's own means: a credential helper, ``GIT_CONFIG_COUNT`` and the like,
    ``GIT_SSH_COMMAND``.

    Raises:
        DeliveryError: Git cannot be used, or the address cannot be reached.
    """
    require_git()
    from git import Repo

    if not is_remote(place):
        with _open(Path(place)) as repository:
            delivery = Checkout(repository)
            if not repository.head.is_valid():
                delivery.start()
            yield delivery
        return
    with (
        tempfile.TemporaryDirectory(prefix="bonafide-delivery-") as folder,
        Repo.init(folder, initial_branch=BRANCH) as repository,
    ):
        repository.create_remote("origin", place)
        delivery = Checkout(repository, place)
        delivery.renew()
        yield delivery


def _open(folder: Path) -> "Repo":
    from git import GitError, InvalidGitRepositoryError, NoSuchPathError, Repo

    try:
        repository = Repo(folder)
    except (InvalidGitRepositoryError, NoSuchPathError):
        return Repo.init(folder, initial_branch=BRANCH)
    except GitError as error:
        raise DeliveryError(f"{folder} is no usable Git repository: {error}") from error
    if repository.bare:
        raise DeliveryError(f"{folder} has no work tree; name it as an address: file://{folder.resolve()}")
    return repository


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _environment() -> dict[str, str]:
    """Git asks nobody at a terminal, and gives up where nothing comes."""
    given = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_HTTP_LOW_SPEED_LIMIT": "100",
        "GIT_HTTP_LOW_SPEED_TIME": "20",
    }
    return {name: os.environ.get(name, value) for name, value in given.items()}


def _told(error: Exception) -> str:
    """What Git said, in one line and without secrets."""
    said = str(getattr(error, "stderr", "") or error).replace("stderr:", "").strip(" \n'")
    lines = [line.strip() for line in said.splitlines() if not line.startswith("hint:")]
    return without_secrets("; ".join(filter(None, lines)))
