from segkit.large.segments import LargeSegmentation as LargeSegmentation
from segkit.large.segments import segment_files as segment_files

__all__: list[str]
