"""ReLoop Stream: CTR models that learn from a stream of stamped exposures and correct themselves."""
