"""OpenAI-compatible images API on the same durable edits as `/v1/edits`."""
