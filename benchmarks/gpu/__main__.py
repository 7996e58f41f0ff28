"""`python -m benchmarks.gpu`: every part in a process of its own."""

from benchmarks.gpu.run import main

if __name__ == "__main__":
    main()
