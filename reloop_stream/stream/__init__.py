"""From the log to labelled examples, tick by tick, and what goes back to the log."""
