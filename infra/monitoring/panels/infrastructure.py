"""Pods, memory, targets."""

from infra.monitoring.panels.parts import BYTES, NAMESPACE, PLAIN, RATE, SHARE, SPACE, Dashboard, Panel, rate

POD = f'{SPACE},container!=""'
INFRASTRUCTURE = Dashboard(
    "Infrastructure",
    {"namespace": NAMESPACE},
    (
        Panel("Targets that answer Prometheus", PLAIN, {"{{job}}": f"sum by (job) (up{{{SPACE}}})"}),
        Panel(
            "Restarts in an hour",
            PLAIN,
            {"{{pod}}": f"sum by (pod) (increase(kube_pod_container_status_restarts_total{{{SPACE}}}[1h]))"},
        ),
        Panel("Cores used", PLAIN, {"{{pod}}": rate("container_cpu_usage_seconds_total", "pod", POD)}),
        Panel(
            "Memory, as a part of the limit",
            SHARE,
            {
                "{{pod}} {{container}}": (
                    f"max by (pod, container) (container_memory_working_set_bytes{{{POD}}}) / max by (pod, container) "
                    f'(kube_pod_container_resource_limits{{{SPACE},resource="memory"}})'
                )
            },
        ),
        Panel(
            "Memory of each process",
            BYTES,
            {"{{job}} {{instance}}": f"max by (job, instance) (process_resident_memory_bytes{{{SPACE}}})"},
        ),
        Panel(
            "Cores used by each process",
            PLAIN,
            {"{{job}} {{instance}}": rate("process_cpu_seconds_total", "job, instance", SPACE)},
        ),
        Panel(
            "Open files and connections, as a part of the limit",
            SHARE,
            {
                "{{instance}}": f"max by (instance) (process_open_fds{{{SPACE}}})"
                f" / max by (instance) (process_max_fds{{{SPACE}}})"
            },
        ),
        Panel(
            "Replicas",
            PLAIN,
            {
                f"{{{{horizontalpodautoscaler}}}} {what}": f"max by (horizontalpodautoscaler) ({metric}{{{SPACE}}})"
                for what, metric in (
                    ("there are", "kube_horizontalpodautoscaler_status_current_replicas"),
                    ("at most", "kube_horizontalpodautoscaler_spec_max_replicas"),
                )
            },
        ),
        Panel(
            "Free part of each volume",
            SHARE,
            {
                "{{persistentvolumeclaim}}": (
                    f"max by (persistentvolumeclaim) (kubelet_volume_stats_available_bytes{{{SPACE}}})"
                    f" / max by (persistentvolumeclaim) (kubelet_volume_stats_capacity_bytes{{{SPACE}}})"
                )
            },
        ),
        Panel(
            "Predictions to be kept",
            RATE,
            {"{{outcome}}": rate("bonafide_predictions_stored_total", "outcome", SPACE)},
        ),
        Panel(
            "Predictions that wait on disk",
            BYTES,
            {"{{pod}}": f"sum by (pod) (bonafide_store_spool_bytes{{{SPACE}}})"},
        ),
        Panel(
            "Files to be kept", RATE, {"{{outcome}}": rate("bonafide_store_images_total", "outcome", SPACE)}
        ),
        Panel(
            "Events of the payload logger",
            RATE,
            {"{{outcome}}": rate("bonafide_collected_events_total", "outcome", SPACE)},
        ),
        Panel(
            "Messages that were not delivered, in an hour",
            PLAIN,
            {
                "{{integration}}": "sum by (integration) (increase(alertmanager_notifications_failed_total[1h]))"
            },
        ),
    ),
)
