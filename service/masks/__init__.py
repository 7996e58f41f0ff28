"""Masks found in a picture by points, a box or words."""
