"""InstructEdit's editor (Wang et al., arXiv 2305.18047, section 3.3): DiffEdit with a given mask."""

from magedit.methods.diffedit.loop import diffedit as instruct_edit

__all__ = ["instruct_edit"]
