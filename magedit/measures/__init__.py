"""Cost, progress, measures and warnings of an edit."""
