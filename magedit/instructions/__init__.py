"""Edits by instruction: reading a sentence, and writing the prompts. Free of torch."""
