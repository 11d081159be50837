"""The reports of a run, side by side."""

import re
from pathlib import Path

from bonafide.evaluation.gate import Verdict
from bonafide.evaluation.report import gate_html
from pipelines.runners.steps import Step
from pipelines.summary import REPORTS, collect_reports

PAGE = gate_html(
    Verdict(promote=False, champion=None, model_digest="", data_digest="", checks=()), "Authenticity"
)


class Run:
    """A run whose steps ended so, with a page of each that wrote one."""

    def __init__(self, folder: Path, **states: str) -> None:
        self.folder, self.states = folder, states
        for name, report in REPORTS.items():
            if report.step in states:
                page = self.artifact(report.step, report.output) / f"{name}.html"
                page.parent.mkdir(parents=True)
                page.write_text(PAGE)

    def step(self, name: str) -> Step | None:
        return Step(name, state=self.states[name]) if name in self.states else None

    def artifact(self, step: str, output: str) -> Path:
        return self.folder / step / output


def links(page: Path) -> list[str]:
    return re.findall(r'<a href="([^"]+)"', page.read_text())


def test_reports_beside_each_other_link_to_each_other(tmp_path):
    run = Run(tmp_path, validate="SUCCESS", evaluate="SUCCESS", gate="SUCCESS")
    found = collect_reports(run, tmp_path / "reports")
    assert list(found) == ["validation", "evaluation", "gate"]
    for name, page in found.items():
        assert links(page) == ["validation.html", "evaluation.html", "gate.html"]
        assert all((page.parent / link).is_file() for link in links(page))
        assert re.findall(r'href="(\S+)" aria-current', page.read_text()) == [f"{name}.html"]


def test_a_report_that_a_run_did_not_get_to_is_not_linked(tmp_path):
    run = Run(tmp_path, validate="SUCCESS", evaluate="SUCCESS", gate="FAILURE")
    for page in collect_reports(run, tmp_path / "reports").values():
        assert links(page) == ["validation.html", "evaluation.html"]


def test_a_step_s_own_page_has_no_link_that_could_be_dead(tmp_path):
    run = Run(tmp_path, gate="SUCCESS")
    collect_reports(run, tmp_path / "reports")
    assert links(run.artifact("gate", "verdict") / "gate.html") == []


def test_a_report_of_an_earlier_run_goes(tmp_path):
    earlier = Run(tmp_path / "1", validate="SUCCESS", evaluate="SUCCESS", gate="SUCCESS")
    collect_reports(earlier, tmp_path / "reports")
    collect_reports(Run(tmp_path / "2", validate="SUCCESS"), tmp_path / "reports")
    assert [page.name for page in (tmp_path / "reports").iterdir()] == ["validation.html"]
