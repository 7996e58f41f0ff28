"""Editing methods: their cards, their parameters and their loops."""
