"""`python -m benchmarks.gpu`: every part in a separate process."""

from benchmarks.gpu.run import main

if __name__ == "__main__":
    main()
