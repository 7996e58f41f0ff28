"""Tenants: API keys, limits and usage."""
