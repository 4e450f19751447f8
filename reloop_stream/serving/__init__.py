"""From published versions to scores and stamps: what a process that serves needs."""
