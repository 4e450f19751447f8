"""The experiment around a feed: calendar, assignment, stages, and who trains on what."""
