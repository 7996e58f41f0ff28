"""PIE-Bench (Ju et al., arXiv 2310.01506)."""
