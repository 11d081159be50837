"""Whether what a run needs is there before it begins: registry, packages, delivery repository, key, store."""

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from bonafide.delivery.checkout import BRANCH, checkout, require_git
from bonafide.delivery.promote import REACHABLE, UNREACHABLE
from bonafide.errors import BonafideError, DeliveryError
from bonafide.home import (
    STORE,
    container_registry,
    delivery,
    home,
    is_remote,
    keys,
    registry,
    signing_key,
    store,
    verifying_key,
    without_secrets,
)
from bonafide.model.signing import check, sign, signer
from bonafide.registry import tracking
from bonafide.registry.tracking import answering, ask, client, experiment, tracking_uri
from bonafide.version import code_version

PROBE = "bonafide-doctor.txt"
BRANCH_ASKED_FOR = "bonafide-doctor"
VERSIONS = ("torch", "mlflow", "kfp", "onnxruntime", "model-signing")


@dataclass(frozen=True)
class Finding:
    """What was looked at, where it is, and what was found; ``broken`` says what to do about it."""

    what: str
    where: str
    found: str
    broken: bool = False


def examine(task: str) -> Iterator[Finding]:
    """Look at each place in turn, by doing what a run of ``task`` will do there.

    Nothing is left behind but the task's experiment in a registry that is named, a tag on it and on the
    task's model, and a small image in a container registry, always the same. Where packages may be written
    but not deleted, a small file ``bonafide-doctor-*.txt`` stays each time.
    """
    yield _versions()
    places: tuple[tuple[str, Callable[[], str], Callable[[], str]], ...] = (
        ("state folder", lambda: str(home()), _home),
        ("registry", tracking.address, partial(_registry, task)),
        ("packages", partial(_address, task), partial(_packages, task)),
        ("delivery repository", lambda: without_secrets(delivery()), _delivery),
        (
            "signing key",
            lambda: without_secrets(signing_key()) or str(verifying_key().with_suffix(".pem")),
            _key,
        ),
    )
    for place in places:
        yield _finding(*place)


def examine_store() -> Finding:
    """Look at the database of predictions and feedback, which not every run needs."""
    from bonafide.feedback.database import Database

    if not os.environ.get(STORE) and not (home() / "store.db").exists():
        return Finding("store", "", f"{STORE} is not set, and this home has none")
    return _finding("store", lambda: Database(store()).told, _store)


def refuse_broken(task: str) -> None:
    """Stop here, before anything is trained, if a run could not end well.

    Raises:
        DeliveryError: with what is broken and what to do.
    """
    if broken := [f"{finding.what}: {finding.found}" for finding in examine(task) if finding.broken]:
        raise DeliveryError("; ".join(broken))


def _finding(what: str, where: Callable[[], str], look: Callable[[], str]) -> Finding:
    address = ""
    try:
        address = where()
        return Finding(what, address, look())
    except BonafideError as error:
        return Finding(what, address, str(error), broken=True)


def _versions() -> Finding:
    found = [f"Python {platform.python_version()}"]
    for name in VERSIONS:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return Finding("versions", f"bonafide {code_version()}", ", ".join(found))


def _home() -> str:
    try:
        home().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home()):
            return "can be written"
    except OSError as error:
        raise DeliveryError(f"{error.strerror}; name another folder in BONAFIDE_HOME") from error


def _registry(task: str) -> str:
    """A tag is set, because who may read may not always write."""
    from mlflow import __version__
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    if not registry() and not (home() / "mlflow.db").exists():
        return "none yet; the first run starts one"
    ask()
    if not tracking_uri().startswith(("http://", "https://")):
        return "answers"
    mlflow = client()
    with answering():
        mlflow.set_experiment_tag(experiment(task), "task", task)
        for model in mlflow.search_registered_models(f"name = '{task}'"):
            mlflow.set_registered_model_tag(model.name, "task", task)
        server = http_request(get_default_host_creds(tracking_uri()), "/version", "GET", max_retries=0).text
    return f"answers, version {server}" + ("" if server == __version__ else f"; here is {__version__}")


def _address(task: str) -> str:
    if images := container_registry():
        return f"{images}/{task}"
    if not registry():
        return str(home() / "mlartifacts")
    with answering():
        return str(client().get_experiment(experiment(task)).artifact_location)


def _packages(task: str) -> str:
    """Files go there and come back the way that packages do."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    if container_registry():
        from bonafide.registry import oci

        oci.check(_address(task))
        return "can be pushed and read back"
    if not registry() and not is_remote(delivery()):
        return "on this machine"
    address = _address(task)
    if is_remote(delivery()) and urlsplit(address).scheme in UNREACHABLE:
        raise DeliveryError(f"no cluster can fetch packages from here; {REACHABLE}")
    name = f"bonafide-doctor-{uuid4().hex}.txt"  # others may look at the same time
    with tempfile.TemporaryDirectory() as sent, tempfile.TemporaryDirectory() as received, answering():
        store = get_artifact_repository(address, tracking_uri())
        probe = Path(sent) / name
        probe.write_text(name)
        store.log_artifact(str(probe))
        store.download_artifacts(name, received)
        arrived = Path(received, name).read_text()
        with suppress(DeliveryError), answering():  # packages are never removed, so this need not be allowed
            store.delete_artifacts(name)
    if arrived != name:
        raise DeliveryError("what was written is not what is read back")
    return "can be written and read"


def _delivery() -> str:
    place = delivery()
    require_git()
    if not is_remote(place) and not any(Path(place, name).exists() for name in (".git", "HEAD")):
        return "none yet; the first promotion makes it"
    with checkout(place) as found:
        if found.origin:
            found.ask("push", "--dry-run", "origin", f"HEAD:refs/heads/{BRANCH_ASKED_FOR}")
            there = "can be read" if found.fetched else "is not there yet; the first promotion makes it"
            return f"branches can be pushed; {BRANCH} {there}"
    return "a repository of this machine"


def _key() -> str:
    """A probe is signed and held against the public key."""
    if not signing_key() and not (keys() / "signing.pem").exists():
        return "none yet; the first package makes it"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / PROBE).write_text("signed by `bonafide doctor`\n")
        sign(folder, signer(), folder / "signature")
        check(folder, folder / "signature", verifying_key())
    return f"signs what {verifying_key()} verifies"


def _store() -> str:
    from bonafide.feedback.database import Database

    database = Database(store())
    if database.is_file and not Path(store().removeprefix("sqlite:///")).exists():
        return "none yet; the first prediction makes it"
    try:
        database.check()
    finally:
        database.close()
    return "answers, its tables are those of this version"
