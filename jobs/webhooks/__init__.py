"""Webhooks: messages, signatures, secrets and deliveries."""
