"""Edits by instruction: the grammar of a sentence, and the prompts that follow. Free of torch."""
