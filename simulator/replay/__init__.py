"""Replaying a data set: laid out in time, stamped as it passes."""
