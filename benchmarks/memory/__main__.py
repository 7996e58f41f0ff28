"""`python -m benchmarks.memory`: peak memory of an edit, and of a worker over many."""

import sys

from benchmarks.memory.run import main

if __name__ == "__main__":
    sys.exit(main())
