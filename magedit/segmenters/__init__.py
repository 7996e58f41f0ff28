"""Finders of things in a picture: models of SAM's family, detectors by words, the edit model's own attention."""
