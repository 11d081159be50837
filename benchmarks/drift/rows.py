"""What is judged, and how."""

from benchmarks.drift.material import BRIGHTER, QUALITY, SKEWED, Kind
from bonafide.task import Drift

RUNS, REFERENCES = 200, 500
SETTINGS = Drift()
SAME, MIX, NEWS = "no drift", "label shift", "new generator"
KINDS = {
    SAME: Kind(),
    MIX: Kind(mix=SKEWED),
    "brightness": Kind(change="brighter"),
    "jpeg": Kind(change="jpeg"),
    NEWS: Kind(new=1.0),
    "new generator and label shift": Kind(mix=SKEWED, new=1.0),
    "other photographs": Kind(apart=True),
}
STRENGTHS = {
    SAME: "reference and window are drawn from the same images",
    MIX: "70 % real, 20 % ai-generated and 10 % deepfake instead of 40, 30 and 30 %",
    "brightness": f"each channel × {BRIGHTER:g}",
    "jpeg": f"encoded again in quality {QUALITY}, after 95",
    NEWS: "all fakes are from the generator that training never saw",
    "new generator and label shift": "both",
    "other photographs": "reference and window are of different regions of the photographs, otherwise alike",
}
ROWS = [(name, size) for name in [*KINDS][:5] for size in (200, 1000)]
ROWS += [(name, 1000) for name in [*KINDS][5:]]
EXPECTED = {SAME: "none", MIX: "mix"} | dict.fromkeys([*KINDS][2:5], "looks")
PROMISED = {"none": 0.95, "mix": 0.95, "looks": 0.95}
