"""Presets of the training recipes, chosen by name. Free of torch."""
