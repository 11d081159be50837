"""``bonafide demo-canary``."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bonafide.cli.options import TaskOption
from bonafide.home import delivery, home

if TYPE_CHECKING:
    from rich.console import Console


def demo_canary(task: TaskOption = "authenticity") -> None:
    """Watch two rollouts on this machine: a good version climbs, one that is slow is rolled back.

    Takes the version that `make demo` put into service; writes $BONAFIDE_HOME/canary with the delivery
    repository, the evidence and a picture.
    """
    from rich.console import Console

    from bonafide.delivery.current import in_service
    from bonafide.delivery.demo.run import ENVIRONMENT, demonstrate
    from bonafide.delivery.rollout.picture import draw
    from bonafide.serving import lean
    from bonafide.task import load_task

    lean.import_kserve()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers that were started end too
    console = Console(file=sys.stdout, highlight=False)
    settings, folder = load_task(task), home() / "canary"
    current = in_service(delivery(), ENVIRONMENT, settings.name)
    stories = demonstrate(settings, current.package, folder, console.print)
    for story in stories:
        console.print(
            f"version {story.version}: {story.decision.verdict} {story.seconds:.0f} s after its first traffic"
        )
    _print_log(console, folder)
    picture = draw(str(folder / "delivery"), ENVIRONMENT, settings.name, folder / "canary.png")
    console.print(f"\npicture: {picture}\nevidence: {folder / 'delivery'}")


def _print_log(console: "Console", folder: Path) -> None:
    from git import Repo

    console.print("\nThe Git log tells the story:")
    with Repo(folder / "delivery") as repository:
        for commit in reversed(list(repository.iter_commits())):
            console.print(f"{commit.committed_datetime:%H:%M:%S}  {commit.summary}")
