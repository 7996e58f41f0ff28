"""MAG-Edit: localized image editing with mask-based attention-adjusted guidance (arXiv 2312.11396).

Importing the package does not load torch; the pipeline is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magedit.config import EditConfig, Region

if TYPE_CHECKING:
    from magedit.pipelines.mag_edit import MAGEditOutput, MAGEditPipeline

__all__ = ["EditConfig", "MAGEditOutput", "MAGEditPipeline", "Region"]
__version__ = "0.1.0"


def __dir__() -> list[str]:
    return sorted((*__all__, "__version__", "__doc__"))


def __getattr__(name: str) -> Any:
    if name in {"MAGEditPipeline", "MAGEditOutput"}:
        from magedit.pipelines import mag_edit

        return getattr(mag_edit, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
