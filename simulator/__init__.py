"""The laboratory: a simulated feed or a replayed data set, the experiment around it, and the reading of its results."""
