"""Profiles of segments: description, marker variables, personas and usability."""

from segkit.profile.cards import (
    FirstStep,
    OfferRule,
    Persona,
    Personas,
    suggest_first_step,
    write_personas,
)
from segkit.profile.profile import choose_kpi, profile_segments
from segkit.profile.segment_profile import Profile
from segkit.profile.usability import Thresholds, Usability, assess_usability
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
    "assess_usability",
    "choose_kpi",
    "profile_segments",
    "suggest_first_step",
    "write_personas",
]
