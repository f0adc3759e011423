"""The benchmarks: what Mecris costs, measured beside what others cost, in one run on one machine."""
