"""What the looks at a window found."""

from infra.monitoring.panels.parts import PLAIN, SECONDS, SHARE, TASK, TASKS, YES, Dashboard, Panel

DRIFT = Dashboard(
    "Drift",
    TASKS,
    (
        Panel(
            "Score, as a part of the threshold",
            SHARE,
            {
                "{{task}} {{detector}}": f"max by (task, detector) (bonafide_drift_score{{{TASK}}})"
                f" / max by (task, detector) (bonafide_drift_threshold{{{TASK}}})"
            },
        ),
        Panel(
            "Drift was found",
            YES,
            {"{{task}} {{kind}}": f"max by (task, kind) (bonafide_drift_detected{{{TASK}}})"},
        ),
        Panel(
            "Score of each detector",
            PLAIN,
            {"{{task}} {{detector}}": f"max by (task, detector) (bonafide_drift_score{{{TASK}}})"},
        ),
        Panel(
            "Time since the last check",
            SECONDS,
            {"{{task}}": f"time() - max by (task) (bonafide_drift_checked_timestamp_seconds{{{TASK}}})"},
        ),
        Panel(
            "Predictions in the last check",
            PLAIN,
            {"{{task}}": f"max by (task) (bonafide_drift_compared_predictions{{{TASK}}})"},
        ),
        Panel(
            "Quality by confirmed feedback",
            SHARE,
            {"{{task}} {{metric}}": f'max by (task, metric) (bonafide_quality{{{TASK},metric!="reviewed"}})'},
        ),
        Panel(
            "Reviewed inputs that quality is measured on",
            PLAIN,
            {"{{task}}": f'max by (task) (bonafide_quality{{{TASK},metric="reviewed"}})'},
        ),
        Panel(
            "Feedback that came in a day",
            PLAIN,
            {"{{task}}": f'sum by (task) (increase(bonafide_feedback_total{{{TASK},state="new"}}[1d]))'},
        ),
        Panel(
            "Feedback that waits for a review",
            PLAIN,
            {"{{task}}": f"max by (task) (bonafide_feedback_waiting{{{TASK}}})"},
        ),
    ),
)
