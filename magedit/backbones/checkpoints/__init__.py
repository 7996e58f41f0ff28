"""What a checkpoint is, from its configs and file headers, before it is loaded."""
