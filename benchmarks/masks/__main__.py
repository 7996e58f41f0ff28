"""`python -m benchmarks.masks`: masks and edits by instruction in rooms with known masks."""

import typer

from benchmarks.masks.run import main

if __name__ == "__main__":
    typer.run(main)
