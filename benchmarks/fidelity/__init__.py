"""Errors against the recorded vectors, and propagation of rounding errors."""
