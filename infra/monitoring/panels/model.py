"""What each version answers, and how fast."""

from infra.monitoring.panels.parts import (
    MODELS,
    OURS,
    PLAIN,
    SHARE,
    YES,
    Dashboard,
    Panel,
    per,
    quantile,
    rate,
)

MODEL = Dashboard(
    "Model",
    MODELS,
    (
        Panel(
            "Versions that are loaded",
            "",
            {"": f"sum by (namespace, model, version, digest, architecture) (bonafide_model_info{{{OURS}}})"},
        ),
        Panel(
            "Packages that were loaded or refused, in a day",
            PLAIN,
            {"{{outcome}}": f"sum by (outcome) (increase(bonafide_model_loads_total{{{OURS}}}[1d]))"},
        ),
        Panel(
            "Share of each label",
            SHARE,
            {
                "{{label}}": f"{rate('bonafide_predictions_total', 'label', over='[1h]')}"
                f" / on () group_left () {rate('bonafide_predictions_total', '', over='[1h]')}"
            },
        ),
        Panel(
            "Share that is left to people",
            SHARE,
            {"{{label}}": per("bonafide_uncertain_total", "bonafide_predictions_total", "label")},
        ),
        Panel(
            "Mean confidence",
            SHARE,
            {"{{version}}": per("bonafide_confidence_sum", "bonafide_confidence_count", "version")},
        ),
        Panel(
            "Confidence that a part stays below",
            SHARE,
            {f"{100 * share:g} %": quantile(share, "bonafide_confidence", "") for share in (0.1, 0.25, 0.5)},
        ),
        Panel(
            "Runs that were asked for", PLAIN, {"{{task}} {{state}}": "sum by (task, state) (bonafide_runs)"}
        ),
        Panel("The last run failed", YES, {"{{task}}": "max by (task) (bonafide_run_failed)"}),
        Panel(
            "Alerts that asked for a run, in a day",
            PLAIN,
            {"{{outcome}}": "sum by (outcome) (increase(bonafide_hook_alerts_total[1d]))"},
        ),
    ),
)
