"""Benchmarks: speed, memory, load and edit quality. Not part of the installed package."""
