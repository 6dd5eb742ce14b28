"""Profiles: who the segments are, what marks each, and whether each is of use."""

from segkit.profile.action import FirstStep, first_step
from segkit.profile.cards import Persona, Personas, personas
from segkit.profile.habits import OfferRule
from segkit.profile.outcome import Profile
from segkit.profile.profile import profile_segments
from segkit.profile.thresholds import MarkerRule, Thresholds
from segkit.profile.usability import Usability, usable

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
