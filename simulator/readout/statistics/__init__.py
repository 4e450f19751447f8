"""User-level statistics of an experiment."""
