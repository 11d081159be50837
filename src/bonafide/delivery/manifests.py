"""The InferenceService of one environment, as KServe's CRD wants it."""

from typing import Any

import yaml

RUNTIME = "bonafide-onnx"
CONTAINER = "kserve-container"
PROMETHEUS = "http://prometheus-operated.monitoring.svc:9090"
QUEUE, QUEUE_LIMIT = "bonafide_queue_images", "bonafide_queue_limit_images"
QUEUE_SHARE = "0.25"
# The least and the most. They stand in the InferenceService, where a rollout reads and raises them.
REPLICAS = {"bonafide-prod": (2, 6)}
FEW_REPLICAS = (1, 3)


def predictor_name(version: str) -> str:
    """What the predictor of a version is called: in the manifest, in metrics, in the header of answers."""
    return f"v{version}"


def inference_service(task: str, version: str, package_uri: str, namespace: str) -> dict[str, Any]:
    """One predictor, named by its version, that takes all traffic.

    Args:
        task: name of the model and of the service.
        version: as the registry names it; answers and metrics carry it.
        package_uri: immutable address of the signed package.
        namespace: where it is to run.
    """
    predictor = predictor_name(version)
    least, most = REPLICAS.get(namespace, FEW_REPLICAS)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": task,
            "labels": {"app.kubernetes.io/part-of": "bonafide"},
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "keda",
            },
        },
        "spec": {
            "predictor": {
                "name": predictor,
                "labels": {"bonafide.dev/predictor": predictor},
                "automountServiceAccountToken": False,
                "minReplicas": least,
                "maxReplicas": most,
                "autoScaling": {"metrics": [_queue(task, predictor, namespace)]},
                "model": {
                    "name": CONTAINER,
                    "modelFormat": {"name": "bonafide", "version": "1"},
                    "protocolVersion": "v2",
                    "runtime": RUNTIME,
                    "storageUri": package_uri,
                    "env": [{"name": "BONAFIDE_MODEL_VERSION", "value": version}],
                },
            }
        },
    }


def _queue(task: str, predictor: str, namespace: str) -> dict[str, Any]:
    """KEDA divides the sum by the replicas, and keeps that mean at a share of what a queue takes."""
    pods = f'{{namespace="{namespace}",inferenceservice="{task}",predictor="{predictor}"}}'
    return {
        "type": "External",
        "external": {
            "metric": {
                "backend": "prometheus",
                "serverAddress": PROMETHEUS,
                "query": f"sum({QUEUE}{pods} / {QUEUE_LIMIT}{pods})",
            },
            "target": {"type": "Value", "value": QUEUE_SHARE},
        },
    }


def kustomization(namespace: str, overlay: str = "") -> dict[str, Any]:
    """What Argo CD builds for one environment of one task.

    Args:
        overlay: the folder, seen from the task's, of what the environment's services have in common.
    """
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": ["inferenceservice.yaml"],
    }
    return content | {"components": [overlay]} if overlay else content


def to_yaml(manifest: dict[str, Any]) -> str:
    """YAML in the order the manifest was written, without broken lines, as later changes write it too."""
    return yaml.safe_dump(manifest, sort_keys=False, width=2**16)
