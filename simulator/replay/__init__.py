"""Real data sets as event streams, one adapter each."""
