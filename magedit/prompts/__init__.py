"""Prompt parsing: words, tokens, alignment and the kind of edit; free of torch."""
