"""Which identifiers belong to one customer."""

from segkit.identity.linking import link
from segkit.identity.outcome import Identities

__all__ = ["Identities", "link"]
