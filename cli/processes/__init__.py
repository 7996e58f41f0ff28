"""Processes of the local stack: Redis, front end, workers and their supervisor."""
