"""Scoring service: segments, value, churn and offers of single customers over HTTP."""
