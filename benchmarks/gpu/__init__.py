"""GPU benchmarks, part by part."""
