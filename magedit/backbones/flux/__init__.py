"""FLUX.1: a transformer with joint attention, rectified flow, and the guidance scale as an input."""
