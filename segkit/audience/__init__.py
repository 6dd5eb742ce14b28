"""Which list goes to whom? Audience lists with their segment contract, omissions counted."""

from segkit.audience.audience import REASONS, Audience, build_audience
from segkit.audience.contract import SegmentContract
from segkit.audience.emails import PLATFORMS, hash_emails, normalise_emails
from segkit.audience.files import FORMATS, defuse

__all__ = [
    "FORMATS",
    "PLATFORMS",
    "REASONS",
    "Audience",
    "SegmentContract",
    "build_audience",
    "defuse",
    "hash_emails",
    "normalise_emails",
]
