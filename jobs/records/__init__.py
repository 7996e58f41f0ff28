"""Records of jobs in Redis: their store, encoding, states, keys of requests, previews."""
