"""Serving the simulated feed, and what servers of every feed share."""
