"""Masks as data: polygons, boxes, run lengths, and what is done to them. Free of torch."""
