"""How the service answers."""

from infra.monitoring.panels.parts import (
    MODELS,
    OURS,
    PLAIN,
    RATE,
    SECONDS,
    SHARE,
    SPACE,
    TOTAL,
    Dashboard,
    Panel,
    per,
    quantile,
    rate,
)

SERVICE = Dashboard(
    "Service",
    MODELS,
    (
        Panel("Requests by how they end", RATE, {"{{outcome}}": rate("bonafide_requests_total", "outcome")}),
        Panel("Requests by version", RATE, {"{{version}}": rate("bonafide_requests_total", "version")}),
        Panel(
            "Share of requests that fail or are turned away",
            SHARE,
            {
                outcome: rate("bonafide_requests_total", "model", f'{OURS},outcome="{outcome}"')
                + " / "
                + rate("bonafide_requests_total", "model")
                for outcome in ("failed", "overloaded")
            },
        ),
        Panel(
            "Requests without an answer, by reason",
            RATE,
            {"{{reason}}": rate("bonafide_errors_total", "reason")},
        ),
        Panel(
            "Time to answer",
            SECONDS,
            {
                f"{100 * share:g} % {{{{model}}}}": quantile(
                    share, "bonafide_stage_seconds", "model, ", TOTAL
                )
                for share in (0.5, 0.95, 0.99)
            },
        ),
        Panel(
            "Mean time in each stage",
            SECONDS,
            {"{{stage}}": per("bonafide_stage_seconds_sum", "bonafide_stage_seconds_count", "stage")},
        ),
        Panel(
            "How full the queues are",
            SHARE,
            {
                "{{pod}}": f"sum by (pod) (bonafide_queue_images{{{SPACE}}})"
                f" / sum by (pod) (bonafide_queue_limit_images{{{SPACE}}})"
            },
        ),
        Panel(
            "Requests at work", PLAIN, {"{{pod}}": f"sum by (pod) (bonafide_in_flight_requests{{{SPACE}}})"}
        ),
        Panel(
            "Service API: answers",
            RATE,
            {"{{status}}": rate("bonafide_api_requests_total", "status", SPACE)},
        ),
        Panel(
            "Service API: time for 95 %",
            SECONDS,
            {"{{route}}": quantile(0.95, "bonafide_api_request_seconds", "route, ", SPACE)},
        ),
        Panel(
            "Service API: refused by rate limits",
            RATE,
            {"{{by}}": rate("bonafide_api_rate_limited_total", "by", SPACE)},
        ),
    ),
)
