"""Triggers: rules over a log of events, with hysteresis, timers and outputs exactly once."""
