"""The checkpoints that a worker serves."""
