"""Load tests, benchmarks, and the stub providers they run against."""
