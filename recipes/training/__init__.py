"""Training shared by all stages: loop, optimizer, latents, processes."""
