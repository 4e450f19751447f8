"""The plots of a run."""
