from segkit.spark.clustering import SparkClusters as SparkClusters
from segkit.spark.clustering import cluster_table as cluster_table
from segkit.spark.engine import open_session as open_session
from segkit.spark.engine import plain_errors as plain_errors
from segkit.spark.scores import score_table as score_table
from segkit.spark.segments import SparkSegments as SparkSegments
from segkit.spark.segments import segment_lines as segment_lines
from segkit.spark.table import SparkTable as SparkTable
from segkit.spark.table import build_table as build_table

__all__: list[str]
