"""Masks as data: polygons, boxes, run lengths, and operations on them. Free of torch."""
