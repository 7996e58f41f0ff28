"""Commands on the service's Redis: API keys, models, signing secrets."""
