"""Interactive choice of segments in JupyterLab: variables, method and number."""

from segkit.explorer.explorer import Explorer, explore_segments

__all__ = ["Explorer", "explore_segments"]
