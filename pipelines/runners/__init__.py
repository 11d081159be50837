"""Where a pipeline runs: on this machine, on Kubeflow Pipelines, on Vertex AI."""
