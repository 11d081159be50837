"""Simulated traffic: how often, of which images, and how these change on the way."""
