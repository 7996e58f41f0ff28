"""The demo: procedural rooms with known truth, the recipe that trains on them, and the checkpoint that ships.

The scene half (`palette`, `scene`, `draw`, `captions`, `edits`, `vocabulary`) needs Pillow alone; torch is
loaded by the training and evaluation modules only.
"""
