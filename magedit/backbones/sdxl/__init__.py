"""Stable Diffusion XL: its UNet, two CLIP text encoders, a pooled embedding and sizes."""
