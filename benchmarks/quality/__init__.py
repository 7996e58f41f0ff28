"""Edit quality on edits with known truth."""
