"""Programs that try runs at length, by hand: killed at random moments, and repeated."""
