"""Profiles: who the segments are, what marks each, and whether each is of use."""

from segkit.profile.cards import FirstStep, OfferRule, Persona, Personas, first_step, personas
from segkit.profile.profile import profile_segments
from segkit.profile.segment_profile import Profile
from segkit.profile.usability import Thresholds, Usability, usable
from segkit.profile.variables import MarkerRule

__all__ = [
    "FirstStep",
    "MarkerRule",
    "OfferRule",
    "Persona",
    "Personas",
    "Profile",
    "Thresholds",
    "Usability",
    "first_step",
    "personas",
    "profile_segments",
    "usable",
]
