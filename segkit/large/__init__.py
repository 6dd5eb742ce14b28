"""Raw files larger than memory, from order lines to segments by way of a work folder on disk."""

from segkit.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
