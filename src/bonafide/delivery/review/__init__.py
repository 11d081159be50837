"""Promotions that people review: a branch, and a request to merge it."""
