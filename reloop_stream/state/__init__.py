"""State as bytes and files: arrays as safetensors, everything else as JSON."""
