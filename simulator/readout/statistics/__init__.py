"""User-level statistics of an experiment: exposures of one user are correlated, so nothing here counts impressions as a
sample. Pure functions of sums; tea-tasting and scipy do the maths."""
