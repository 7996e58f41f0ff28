"""FLUX.1: a transformer with joint attention, rectified flow and a guidance scale that the model is told."""
