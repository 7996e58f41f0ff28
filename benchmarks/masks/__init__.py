"""Found masks against known ones, and edits by instruction with both."""
