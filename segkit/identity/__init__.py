"""Which identifiers belong to one customer."""

from segkit.identity.linking import Identities, link

__all__ = ["Identities", "link"]
