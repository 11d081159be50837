"""Scoring many images at once: from a folder or a bucket to one table, resumable after a kill."""
