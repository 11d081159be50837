"""Architectures, training, calibration, export and the signed model package."""
