"""A promotion that is offered for review, and goes into service when people merge it."""

from bonafide.delivery.checkout import BRANCH, checkout
from bonafide.delivery.promote import commit_promotion
from bonafide.delivery.review.hosts import Kind, project
from bonafide.delivery.review.pulls import named, open_request, push_options
from bonafide.errors import DeliveryError
from bonafide.files import lock
from bonafide.home import home, without_secrets


def offer_version(task: str, number: str, place: str, environment: str, again: bool = False) -> str:
    """Push the promotion's commit to a branch of its own, and open a request to merge it.

    The checks are those of a promotion. A branch that was offered before is made again if anything changed
    since, and its open request is found again. Nothing goes into service by it.

    Returns:
        the request's address; empty if the version is in the environment already.

    Raises:
        DeliveryError: as for a promotion; or the place is no address of a host, or the host refuses.
        ConfigError: nothing says what kind of host it is.
    """
    there, branch = project(place), f"promote/{environment}/{task}-{number}"
    with lock(home() / "promote.lock"), checkout(place) as delivery:
        if not delivery.fetched:
            raise DeliveryError(
                f"{without_secrets(place)} has no branch {BRANCH} that a request could be merged into; "
                "push a first commit to it"
            )
        commit_promotion(delivery, task, number, environment, again)
        commit = delivery.repository.head.commit
        if commit.hexsha == delivery.fetched:
            return ""
        title, _, body = str(commit.message).strip().partition("\n\n")
        said = delivery.offer(branch, push_options(there, title, body))
        try:
            if there.kind is Kind.GITLAB:
                return named(said)
            return open_request(there, delivery.folder, branch, title, body)
        except DeliveryError as error:
            by_hand = f"the branch {branch} is pushed, so open the request by hand: {there.by_hand(branch)}"
            raise DeliveryError(f"{error}; {by_hand}") from error
