"""Load on Redis by real stacks, and simulated waiting times with many workers."""
