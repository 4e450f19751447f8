"""The published tables and figures, a command each."""
