"""Profiles: who the segments are, what marks each, and whether each is of use."""

from segkit.profile.outcome import Profile
from segkit.profile.profile import profile_segments
from segkit.profile.thresholds import MarkerRule, Thresholds

__all__ = ["MarkerRule", "Profile", "Thresholds", "profile_segments"]
