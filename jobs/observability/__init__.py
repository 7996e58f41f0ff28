"""Structured logs and trace context of every process."""
