"""Mask finders: SAM-family segmenters, text-prompted detectors, the edit model's attention."""
