"""`python -m benchmarks.speed`: the presets against the released program's schedule."""

from benchmarks.speed.run import main

if __name__ == "__main__":
    main()
