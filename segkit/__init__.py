"""Customer segmentation for retailers, from raw purchase history to campaign lift.

The names here are the main path; everything else is reached through its package, such as
``segkit.lift.check_balance``. Nothing is imported before it is used, so ``import segkit`` is quick.
The names are listed in ``__init__.pyi``.
"""

from __future__ import annotations

from segkit.lazy import attach_stub

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
