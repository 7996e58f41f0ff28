"""`python -m benchmarks.pie_bench`: the 700 pictures of PIE-Bench, with its data and weights."""

from benchmarks.pie_bench.run import main

if __name__ == "__main__":
    main()
