"""Which segments suit? Variables, method and number turned by hand in JupyterLab."""

from segkit.explorer.explorer import Explorer
from segkit.explorer.start import explore_segments

__all__ = ["Explorer", "explore_segments"]
