"""Speed of edits, UNet passes and their parts."""
