"""Which list goes to whom? Audience lists with their segment contract, omissions counted."""

from segkit.audience.audience import REASONS, Audience, build_audience
from segkit.audience.consent import CHANNELS
from segkit.audience.contract import SegmentContract
from segkit.audience.platforms import (
    PLATFORMS,
    hash_identifiers,
    hash_texts,
    normalise_emails,
    normalise_identifiers,
    read_emails,
    read_phones,
)

__all__ = [
    "CHANNELS",
    "PLATFORMS",
    "REASONS",
    "Audience",
    "SegmentContract",
    "build_audience",
    "hash_identifiers",
    "hash_texts",
    "normalise_emails",
    "normalise_identifiers",
    "read_emails",
    "read_phones",
]
