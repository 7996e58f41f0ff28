"""Edits by instruction: what a sentence asks for, and the prompts that follow. Free of torch."""
