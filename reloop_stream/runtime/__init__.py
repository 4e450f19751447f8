"""Processes and log messages: what any part may need of the machine it runs on."""
