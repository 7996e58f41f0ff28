"""ASGI middleware: authentication, rate limits, request ids and time limits."""
