"""Single-file checkpoints of Stable Diffusion 1.x/2.x, loaded without a network from the configs shipped here."""
