"""Write what follows from other files: ``python -m infra.monitoring.generate``.

``alerts/prometheusrule.yaml`` is ``alerts/rules.yml`` for the Prometheus operator, ``dashboards/*.json`` are
those of ``panels/`` for Grafana. A test holds the committed
files against what this makes.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

from bonafide.files import write_text
from infra.monitoring import dashboards

FOLDER = Path(__file__).parent
RULES = FOLDER / "alerts" / "rules.yml"
PROMETHEUS_RULE = """# Made from rules.yml by `python -m infra.monitoring.generate`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: bonafide
spec:
"""


def prometheus_rule() -> str:
    """The rules as the operator wants them."""
    groups = RULES.read_text().partition("\ngroups:")
    return PROMETHEUS_RULE + indent("".join(groups[1:]).lstrip(), "  ")


def files() -> Iterator[tuple[Path, str]]:
    """Every file and what it has to hold."""
    yield FOLDER / "alerts" / "prometheusrule.yaml", prometheus_rule()
    for name, content in dashboards.files():
        yield FOLDER / "dashboards" / name, content


if __name__ == "__main__":
    for path, content in files():
        write_text(path, content)
        sys.stdout.write(f"wrote {path}\n")
