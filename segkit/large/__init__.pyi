from segkit.large.segments import LargeScores as LargeScores
from segkit.large.segments import LargeSegmentation as LargeSegmentation
from segkit.large.segments import score_large_files as score_large_files
from segkit.large.segments import segment_files as segment_files

__all__: list[str]
