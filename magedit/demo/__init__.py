"""The demo: procedural rooms with known truth, the recipe that trains on them, and the checkpoint that ships.

The scene half (`palette`, `scene`, `draw`, `captions`, `edits`, `vocabulary`) needs Pillow alone; torch is
loaded by the training and evaluation modules only.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from magedit.demo.edits import DemoEdit
from magedit.demo.named import DEMO_EDITS, demo_edit
from magedit.demo.sets import edit_set, sample_edits

__all__ = [
    "DEMO_EDITS",
    "DEMO_MODELS",
    "DemoEdit",
    "checkpoint_path",
    "demo_edit",
    "edit_set",
    "flow_checkpoint_path",
    "instruct_checkpoint_path",
    "sample_edits",
    "segmenter_path",
    "suited_segmenter",
]


def checkpoint_path() -> Path:
    """The folder of the checkpoint that ships with the package."""
    return Path(__file__).parent / "checkpoint"


def flow_checkpoint_path() -> Path:
    """The folder of the checkpoint in Stable Diffusion 3's layout, which ships beside it."""
    return Path(__file__).parent / "flow-checkpoint"


def instruct_checkpoint_path() -> Path:
    """The folder of the checkpoint that edits by instruction, which ships beside it."""
    return Path(__file__).parent / "instruct-checkpoint"


def segmenter_path() -> Path:
    """The folder of the segmenter, in SAM's layout, that ships beside the checkpoints."""
    return Path(__file__).parent / "segmenter"


def suited_segmenter(checkpoint: str | Path) -> Path | None:
    """The folder of the segmenter that ships, if `checkpoint` is a folder that ships; None for any other."""
    shipped = (checkpoint_path(), flow_checkpoint_path(), instruct_checkpoint_path())
    return segmenter_path() if Path(checkpoint).resolve() in shipped else None


DEMO_MODELS: Final[Mapping[str, Callable[[], Path]]] = MappingProxyType(
    {"demo": checkpoint_path, "flow": flow_checkpoint_path}
)
"""The models that the demo runs with, by name."""
