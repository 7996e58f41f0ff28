"""Edits by instruction: grammar of the sentence and derived prompts. Free of torch."""
