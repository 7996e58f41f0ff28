"""Edits over HTTP: form, validation, submission and representation."""
