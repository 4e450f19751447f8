"""Measurements, a command each: python -m benchmarks.NAME [--json]. Ratios come from one run, interleaved."""
