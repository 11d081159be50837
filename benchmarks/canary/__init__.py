"""Simulated traffic judged by the rollout's own code and by other systems' documented rules."""
