"""Memory of an edit and of a long-running worker."""
