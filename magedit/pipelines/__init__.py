"""Pipelines: from a picture, a mask and two prompts to the edited picture."""
