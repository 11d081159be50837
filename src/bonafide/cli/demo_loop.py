"""``bonafide demo-loop``."""

import signal
import sys

from bonafide.cli.options import TaskOption
from bonafide.home import home


def demo_loop(task: TaskOption = "authenticity") -> None:
    """Watch the closed loop on this machine, with a real Prometheus and Alertmanager.

    Traffic changes to a generator that training never saw. Drift is found, an alert starts training with the
    feedback that people gave, and the new version takes over as a canary. Writes $BONAFIDE_HOME/loop.
    """
    from rich.console import Console

    from bonafide.delivery.demo.judged import judge
    from bonafide.delivery.demo.loop import demonstrate
    from bonafide.delivery.demo.loop_picture import draw
    from bonafide.delivery.demo.processes import own_home
    from bonafide.serving import lean
    from bonafide.task import load_task

    lean.import_kserve()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started ends too
    console = Console(file=sys.stdout, highlight=False)
    settings, folder = load_task(task), home() / "loop"

    def tell(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    story, traffic = demonstrate(settings, folder, home() / "cache", tell)
    with own_home(folder):
        judged = judge(settings.name, traffic.judged, folder)
    for number, right in enumerate(judged.right, 1):
        tell(
            f"version {number}: {right / judged.images:.1%} of {judged.images:,} images like the new ones, "
            "which neither training saw"
        )
    tell(f"only version 1 had {judged.only[0]:,} of them right, only version 2 {judged.only[1]:,}")
    tell(f"picture: {draw(story, folder / 'loop.png')}\nall that was written: {folder}")
