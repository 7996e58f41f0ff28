"""Work on claimed jobs: edits and masks, from stored pictures to stored results."""
