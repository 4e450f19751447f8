"""A run of the laboratory: its parts, its loop, its processes, from beginning to end."""
