"""Predictions that were answered, and what people say of them, in SQL; the way there, and figures from it."""
