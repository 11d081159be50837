"""The delivery folder: what runs where, as commits in a Git repository."""
