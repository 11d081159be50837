"""The InferenceService of one environment, as KServe's CRD wants it."""

from typing import Any

import yaml

RUNTIME = "bonafide-onnx"
CONTAINER = "kserve-container"


def inference_service(task: str, version: str, package_uri: str) -> dict[str, Any]:
    """One stable predictor that takes all traffic.

    Args:
        task: name of the model and of the service.
        version: as the registry names it; answers carry it.
        package_uri: immutable address of the signed package.
    """
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": task,
            "labels": {"app.kubernetes.io/part-of": "bonafide", "bonafide.dev/model-version": version},
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {
            "predictor": {
                "automountServiceAccountToken": False,
                "minReplicas": 1,
                "maxReplicas": 3,
                "model": {
                    "name": CONTAINER,
                    "modelFormat": {"name": "bonafide", "version": "1"},
                    "protocolVersion": "v2",
                    "runtime": RUNTIME,
                    "storageUri": package_uri,
                    "env": [
                        {"name": "BONAFIDE_MODEL_VERSION", "value": version},
                        {"name": "BONAFIDE_VARIANT", "value": "stable"},
                    ],
                },
            }
        },
    }


def kustomization(namespace: str) -> dict[str, Any]:
    """What Argo CD builds for one environment of one task."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": ["inferenceservice.yaml"],
    }


def to_yaml(manifest: dict[str, Any]) -> str:
    """YAML in the order the manifest was written."""
    return yaml.safe_dump(manifest, sort_keys=False)
