"""Environment variables that tell a peer where the model is."""

WEIGHTS = "BENCHMARK_WEIGHTS"
GRAPH = "BENCHMARK_GRAPH"
