"""Attention guidance: its constraints and the optimisation of the noise latent."""
