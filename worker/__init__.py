"""The GPU worker: loads a model once and runs jobs."""
