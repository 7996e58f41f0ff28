"""Stable Diffusion 3 and 3.5: a transformer with joint attention and rectified flow."""
