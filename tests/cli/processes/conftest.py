"""Workers as the worker's own tests have them."""

from tests.worker.conftest import desk, gates

__all__ = ["desk", "gates"]
