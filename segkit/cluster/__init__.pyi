from segkit.cluster.aliases import AliasRule as AliasRule
from segkit.cluster.aliases import choose_aliases as choose_aliases
from segkit.cluster.batches import cluster_parquet as cluster_parquet
from segkit.cluster.choose import choose_k as choose_k
from segkit.cluster.estimators import Ward as Ward
from segkit.cluster.fit import cluster_customers as cluster_customers
from segkit.cluster.given_segments import assign_by_rules as assign_by_rules
from segkit.cluster.given_segments import validate_segments as validate_segments
from segkit.cluster.grade import compare_assignments as compare_assignments
from segkit.cluster.grade import grade_segments as grade_segments
from segkit.cluster.grade import grade_structure as grade_structure
from segkit.cluster.kmeans import fit_kmeans as fit_kmeans
from segkit.cluster.latent import cluster_latent as cluster_latent
from segkit.cluster.methods import compare_methods as compare_methods
from segkit.cluster.mixed_types import cluster_mixed as cluster_mixed
from segkit.cluster.mixture import cluster_mixture as cluster_mixture
from segkit.cluster.model import SegmentModel as SegmentModel
from segkit.cluster.model import load_model as load_model
from segkit.cluster.segments import Segmentation as Segmentation
from segkit.cluster.stability import assess_stability as assess_stability
from segkit.cluster.structure import assess_structure as assess_structure
from segkit.cluster.twostep import fit_two_step as fit_two_step
from segkit.cluster.validity import measure_validity as measure_validity
from segkit.cluster.ward import cut_tree as cut_tree
from segkit.cluster.ward import order_leaves as order_leaves
from segkit.cluster.ward import ward_linkage as ward_linkage

__all__: list[str]
