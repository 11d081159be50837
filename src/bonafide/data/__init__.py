"""Datasets: decoding, shards, audits and splits. Never imports torch."""
