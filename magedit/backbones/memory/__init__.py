"""Memory of a checkpoint: its estimate without weights, and low-memory mode."""
