"""The KServe predictor and its clients. Never imports torch, MLflow or KFP."""
