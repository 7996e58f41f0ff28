"""Reading prompts: words, tokens, alignment and the kind of edit. Free of torch."""
