"""What models see: feature values as rows of one embedding table."""
