"""A canary that judges itself: settings, samples, evidence, decisions, and the commits that say so."""
