"""Everything that is to be measured on a GPU, part by part."""
