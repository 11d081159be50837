"""A rollout to watch: one version that climbs and one that is rolled back."""
