"""Statistics that several analyses need: intervals, resampling, multiplicity, effect sizes."""
