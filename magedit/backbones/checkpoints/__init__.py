"""Inspection of checkpoints by their configs and file headers, before they are loaded."""
