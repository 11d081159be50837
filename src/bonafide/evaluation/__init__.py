"""Metrics with intervals, comparison with the champion, the quality gate and its reports."""
