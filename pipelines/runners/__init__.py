"""Where a pipeline runs: on this laptop, and later on Kubeflow and Vertex AI."""
