"""The networks of a checkpoint, each with its training objective."""
