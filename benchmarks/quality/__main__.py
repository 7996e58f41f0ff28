"""`python -m benchmarks.quality`: success and cost by kind of edit."""

from benchmarks.quality.run import main

if __name__ == "__main__":
    main()
