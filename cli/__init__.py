"""The `magedit` command line."""
