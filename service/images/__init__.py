"""Uploaded pictures: validation, limits and PNG encoding."""
