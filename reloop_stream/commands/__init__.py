"""The commands of `python -m reloop_stream`."""
