"""Inversions: from an image's latent to a trajectory that sampling can follow."""
