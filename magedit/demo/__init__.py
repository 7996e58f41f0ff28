"""Procedurally drawn rooms with known edit results, and the bundled demo checkpoints.

The scene modules (`palette`, `scene`, `draw`, `captions`, `edits`, `vocabulary`) need only Pillow. The evaluation
modules load torch.
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
    """Folder of the bundled demo checkpoint."""
    return Path(__file__).parent / "checkpoint"


def flow_checkpoint_path() -> Path:
    """Folder of the bundled checkpoint in Stable Diffusion 3's layout."""
    return Path(__file__).parent / "flow-checkpoint"


def instruct_checkpoint_path() -> Path:
    """Folder of the bundled checkpoint that edits by instruction."""
    return Path(__file__).parent / "instruct-checkpoint"


def segmenter_path() -> Path:
    """Folder of the bundled segmenter, in SAM's layout."""
    return Path(__file__).parent / "segmenter"


def suited_segmenter(checkpoint: str | Path) -> Path | None:
    """Folder of the bundled segmenter if `checkpoint` is a bundled checkpoint, else None."""
    shipped = (checkpoint_path(), flow_checkpoint_path(), instruct_checkpoint_path())
    return segmenter_path() if Path(checkpoint).resolve() in shipped else None


DEMO_MODELS: Final[Mapping[str, Callable[[], Path]]] = MappingProxyType(
    {"demo": checkpoint_path, "flow": flow_checkpoint_path}
)
"""The models that the demo runs with, by name."""
