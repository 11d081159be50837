"""Virtual environments: Bonafide's as its image has it, peers' laid over the one at hand, which has torch."""

import subprocess
import sys
import sysconfig
import venv

from benchmarks.serving.systems import ENVIRONMENTS, System


def install(system: System) -> str:
    """Make the system's environment if it lacks packages; says what went wrong, or nothing."""
    if not system.environment:
        return ""
    folder = ENVIRONMENTS / system.environment
    done = folder / ".installed"
    if done.exists() and done.read_text() == " ".join(system.needs):
        return ""
    venv.create(folder, with_pip=True)
    if not system.is_ours:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        below = folder / "lib" / version / "site-packages" / "below.pth"
        below.write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    command = [str(system.bin / "pip"), "install", "--disable-pip-version-check", "--quiet", *system.needs]
    installed = subprocess.run(command, capture_output=True, text=True)
    if installed.returncode:
        return f"cannot be installed: {installed.stderr.strip()[-300:]}"
    done.write_text(" ".join(system.needs))
    return ""
