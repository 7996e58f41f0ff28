"""Stable Diffusion 1.x and 2.x: a UNet with cross attention and the DDIM process."""
