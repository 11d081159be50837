"""The Open Inference Protocol v2: what a request asks, how it travels by REST and gRPC."""
