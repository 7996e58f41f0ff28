"""`python -m benchmarks.scale`: the load on one Redis, and simulated waiting times."""

from benchmarks.scale.run import main

if __name__ == "__main__":
    main()
