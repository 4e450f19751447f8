"""One learner on a stranger's stream: its settings, its folder, its progress, and a look at it from outside."""
