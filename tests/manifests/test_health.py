"""Argo CD's health of an InferenceService: the delivered script, in a real Lua with Argo CD's libraries."""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from bonafide.delivery.rollout.settings import RolloutSettings

SETTINGS = Path(__file__).parents[2] / "argocd/settings/argocd-cm.yaml"
SCRIPT = yaml.safe_load(SETTINGS.read_text())["data"][
    "resource.customizations.health.serving.kserve.io_InferenceService"
]
# Argo CD opens the libraries base, table and package, and what is safe of os (util/lua/oslib_safe.go). Its
# os.date takes a given time for local time, also after "!".
SANDBOX = """
local real, sub = os, string.sub
local function date(format, time)
  if time ~= nil and sub(format, 1, 1) == "!" then format = sub(format, 2) end
  return real.date(format, time)
end
for name in pairs(package.loaded) do
  if name ~= "_G" and name ~= "table" and name ~= "package" then
    package.loaded[name], _G[name] = nil, nil
  end
end
package.preload.os = function() return {time = real.time, date = date} end
getmetatable("").__index = nil
"""
MINUTES = RolloutSettings().ready_minutes


def ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str, minutes: float = 600, **more: str) -> dict:
    return {"type": kind, "status": status, "lastTransitionTime": ago(minutes), **more}


STABLE = [condition("PredictorReady", "True"), condition("IngressReady", "True"), condition("Ready", "True")]
RUNNING = condition("Stopped", "False", severity="Info")


def table(value) -> str:
    """A value of JSON as Lua writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{json.dumps(key)}] = {table(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(table, value)) + "}"
    return json.dumps(value)


def health(status: dict | None, zone: str = "UTC") -> tuple[str, str]:
    """What the script says of a service with this status: health and message."""
    lua = next(filter(shutil.which, ("lua5.1", "lua5.4", "lua")), None)
    if not lua:
        pytest.skip("lua5.1 is not installed")
    service = {"kind": "InferenceService"} | ({"status": status} if status is not None else {})
    program = f"{SANDBOX}\nobj = {table(service)}\nlocal function check()\n{SCRIPT}\nend\n"
    program += "local said = check()\nprint(said.status)\nprint(said.message)"
    result = subprocess.run(
        [lua, "-"], input=program, capture_output=True, text=True, timeout=30, env={**os.environ, "TZ": zone}
    )
    assert result.returncode == 0, result.stderr
    first, _, message = result.stdout.partition("\n")
    return first, message.strip()


def test_the_sandbox_is_as_poor_as_argo_cds(monkeypatch):
    for used in ("string.sub('a', 1)", "('a'):sub(1)", "math.floor(1)", "os.time()", "io.write('a')"):
        monkeypatch.setitem(globals(), "SCRIPT", f"return {{status = {used}}}")
        with pytest.raises(AssertionError, match="attempt to index"):
            health({})


def test_a_service_that_kserve_has_not_seen_is_progressing():
    assert health(None)[0] == health({})[0] == health({"conditions": []})[0] == "Progressing"


@pytest.mark.parametrize("more", [[], [RUNNING], [condition("CanaryPredictorReady", "True"), RUNNING]])
def test_a_ready_service_is_healthy_with_or_without_a_canary(more):
    assert health({"conditions": STABLE + more})[0] == "Healthy"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Bogota"])
@pytest.mark.parametrize("kind", ["CanaryPredictorReady", "PredictorReady"])
@pytest.mark.parametrize(
    ("minutes", "said"), [(MINUTES - 1, "Progressing"), (MINUTES + 1, "Degraded"), (0, "Progressing")]
)
def test_what_is_not_ready_is_progressing_and_degraded_after_the_rollouts_deadline(kind, minutes, said, zone):
    waiting = condition(kind, "False", minutes, reason="CanariesNotReady", message="0 of 1")
    others = [item for item in STABLE if item["type"] != kind]
    status, message = health({"conditions": [waiting, *others]}, zone)
    assert status == said
    assert f"{kind} is False since {waiting['lastTransitionTime']} CanariesNotReady 0 of 1" in message


def test_unknown_counts_as_not_ready():
    assert health({"conditions": [condition("Ready", "Unknown", 1)]})[0] == "Progressing"
    assert health({"conditions": [condition("Ready", "Unknown", MINUTES + 1)]})[0] == "Degraded"


def test_a_condition_without_a_time_is_never_late():
    assert health({"conditions": [{"type": "Ready", "status": "False"}]})[0] == "Progressing"


def test_a_model_that_cannot_be_loaded_is_degraded_at_once():
    model = {"transitionStatus": "BlockedByFailedLoad"}
    said, message = health({"conditions": STABLE, "modelStatus": model})
    assert (said, message) == ("Degraded", "the model: BlockedByFailedLoad")
    assert health({"conditions": STABLE, "modelStatus": {"transitionStatus": "UpToDate"}})[0] == "Healthy"


def test_a_stopped_service_is_suspended():
    assert (
        health({"conditions": [condition("Stopped", "True"), condition("Ready", "False")]})[0] == "Suspended"
    )
