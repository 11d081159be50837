"""The collector: requests and answers that KServe's payload logger sends become predictions."""
