"""What every request meets first: HTTP, limits, bodies, ids."""
