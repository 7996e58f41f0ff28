"""Errors against the recorded vectors, and how far rounding errors propagate."""
