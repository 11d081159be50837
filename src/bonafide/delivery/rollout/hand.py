"""What people do to a rollout: pause it, resume it, roll back."""

import io
from collections.abc import Callable

from bonafide.delivery.checkout import Checkout, checkout
from bonafide.delivery.promote import ATTEMPTS, follow
from bonafide.delivery.repository import (
    ALL_PARENTS,
    ROLLED_BACK,
    SERVICE,
    earlier,
    folder_of,
    message,
    package_digest,
    read_service,
    read_settings,
    rolled_back,
)
from bonafide.delivery.rollout.settings import SETTINGS
from bonafide.delivery.service import Served, Service, round_trip
from bonafide.errors import DeliveryError
from bonafide.files import lock
from bonafide.home import home, without_secrets


def pause(place: str, environment: str, task: str, paused: bool) -> None:
    """Stop a rollout at its step, or let it go on. Harm that is proven still rolls back.

    Raises:
        DeliveryError: there is no ``rollout.yaml``, or the repository cannot be reached.
    """

    def change(delivery: Checkout) -> str:
        path = folder_of(environment, task) / SETTINGS
        settings = read_settings(delivery, environment, task)
        if settings is None:
            raise DeliveryError(f"{path} is not there; a version goes into service at once in {environment}")
        did = "Pause" if paused else "Resume"
        if settings.paused != paused:
            content = _with(str(delivery.read(path)), "paused", paused)
            about = {"Environment": environment}
            delivery.change({path: content}, message(f"{did} rollouts of {task} in {environment}", about))
        return did

    _commit(place, task, change)


def roll_back(place: str, environment: str, task: str, to: str = "", why: str = "") -> str:
    """End a canary's trial, or, where none is open, bring back the version before, or ``to``.

    Returns:
        the version that has all traffic now.

    Raises:
        DeliveryError: nothing serves there, no such version did, or the repository cannot be reached.
    """

    meant: list[Served] = []

    def change(delivery: Checkout) -> str:
        service = read_service(delivery, environment, task)
        if service is None:
            raise DeliveryError(f"nothing serves {task} in {environment}")
        bad = service.canary or service.stable
        meant.append(bad)
        if bad != meant[0]:  # somebody else rolled it back meanwhile
            return service.stable.version
        if service.canary and to in ("", service.stable.version):
            service.drop()
        else:
            service.replace(_found(delivery, environment, task, service, to).stable)
        trailers = {
            "Model-Version": f"{task}/{service.stable.version}",
            "Verdict": f"roll back: {why or 'by hand'}",
            "Environment": environment,
            ROLLED_BACK: package_digest(delivery, environment, task, bad.version),
        }
        subject = f"Roll back {task} version {bad.version} in {environment}"
        path = folder_of(environment, task) / SERVICE
        delivery.change({path: service.text}, message(subject, trailers))
        return service.stable.version

    return _commit(place, task, change)


def _commit(place: str, task: str, change: Callable[[Checkout], str]) -> str:
    with lock(home() / "promote.lock"), checkout(place) as delivery:
        for _ in range(ATTEMPTS):
            done = change(delivery)
            if delivery.publish():
                follow(delivery, task)
                return done
    raise DeliveryError(f"{without_secrets(place)} moved {ATTEMPTS} times meanwhile; run it again")


def _found(delivery: Checkout, environment: str, task: str, now: Service, to: str) -> Service:
    """The last time that ``to``, or without it another version that was not rolled back, was stable."""
    seen, bad = [], rolled_back(delivery, environment, task)
    for _, then in earlier(delivery, environment, task, **ALL_PARENTS):
        version = then.stable.version
        other = then.stable != now.stable and package_digest(delivery, environment, task, version) not in bad
        if version == to or (not to and other):
            return then
        seen.append(version)
    wanted = f"version {to}" if to else "another version"
    known = ", ".join(dict.fromkeys(seen))
    raise DeliveryError(
        f"{wanted} never had all traffic of {task} in {environment}; versions that did: {known}"
    )


def _with(text: str, key: str, value: object) -> str:
    yaml, stream = round_trip(), io.StringIO()
    content = yaml.load(text) or {}
    content[key] = value
    yaml.dump(content, stream)
    return stream.getvalue()
