"""Reading a merge tree in scipy's linkage format: cut into groups, leaves put in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segkit.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def linkage_matrix(left: Ints, right: Ints, heights: Floats, leaves: int) -> Floats:
    """Return scipy's linkage matrix from merges told by any one leaf of each side.

    Parameters
    ----------
    left, right : array (n - 1,)
        A leaf of each merged cluster, in an order in which every merge comes after those of its
        parts.
    heights : array (n - 1,)
        Merge heights. A height below that of one of its parts (by rounding) is raised to it.
    leaves : int
        Number of leaves n.

    Returns
    -------
    array (n - 1, 4)
        Lower id, higher id, height, leaves in the merged cluster; heights ascend, and equal
        heights keep the given order.

    Examples
    --------
    >>> linkage_matrix(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 5.0]), 3)
    array([[0., 1., 1., 2.],
           [2., 3., 5., 3.]])
    """
    raised = _monotone(left, right, heights, leaves)
    order = np.argsort(raised, kind="stable")
    parent = list(range(2 * leaves - 1))
    counts = [1] * leaves + [0] * (leaves - 1)
    rows: list[tuple[int, int]] = []
    pairs = zip(left[order].tolist(), right[order].tolist(), strict=True)
    for new, (one, other) in enumerate(pairs, start=leaves):
        a, b = _root(parent, one), _root(parent, other)
        parent[a] = parent[b] = new
        counts[new] = counts[a] + counts[b]
        rows.append((a, b) if a < b else (b, a))
    table = np.empty((leaves - 1, 4))
    table[:, :2] = np.array(rows, dtype=np.float64).reshape(-1, 2)
    table[:, 2] = raised[order]
    table[:, 3] = counts[leaves:]
    return table


def _root(parent: list[int], item: int) -> int:
    root = item
    while parent[root] != root:
        root = parent[root]
    while parent[item] != root:
        parent[item], item = root, parent[item]
    return root


def _monotone(left: Ints, right: Ints, heights: Floats, leaves: int) -> Floats:
    """Raise each height to its parts' heights, merges given in an order of creation."""
    parent = list(range(leaves))
    top = [0.0] * leaves
    raised = heights.tolist()
    for step, (one, other) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        a, b = _root(parent, one), _root(parent, other)
        raised[step] = max(raised[step], top[a], top[b])
        parent[b] = a
        top[a] = raised[step]
    return np.array(raised)


def cut_tree(linkage: Floats, k: int) -> Ints:
    """Return the group, of ``k``, into which the tree puts each leaf.

    Parameters
    ----------
    linkage : array (n - 1, 4)
        A linkage matrix in scipy's format.
    k : int
        Number of groups, 1 to n.

    Returns
    -------
    array (n,)
        Group numbers 0 to k - 1, in order of first appearance among the leaves.

    Raises
    ------
    ParameterError
        If ``k`` is not between 1 and the number of leaves.

    Examples
    --------
    >>> cut_tree(np.array([[0., 1., 1., 2.], [2., 3., 5., 3.]]), 2)
    array([0, 0, 1])
    """
    leaves = linkage.shape[0] + 1
    if not 1 <= k <= leaves:
        raise ParameterError(f"k must lie between 1 and the {leaves} leaves; got {k}")
    made = leaves - k
    parent = np.arange(leaves + made)
    children = linkage[:made, :2].astype(np.int64)
    parent[children[:, 0]] = parent[children[:, 1]] = leaves + np.arange(made)
    while True:
        further = parent[parent]
        if np.array_equal(further, parent):
            break
        parent = further
    return first_seen(parent[:leaves])


def first_seen(labels: Ints) -> Ints:
    """Renumber groups from 0 in order of first appearance.

    Examples
    --------
    >>> first_seen(np.array([7, 7, 2, 7]))
    array([0, 0, 1, 0])
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty_like(first)
    rank[np.argsort(first)] = np.arange(first.shape[0])
    return rank[inverse]


def leaf_order(linkage: Floats) -> Ints:
    """Return the order in which leaves stand under the tree, so that no branches cross.

    Returns
    -------
    array (n,)
        Leaf numbers from left to right; within a merge the lower id stands left, as in scipy.

    Examples
    --------
    >>> leaf_order(np.array([[1., 2., 1., 2.], [0., 3., 5., 3.]]))
    array([0, 1, 2])
    """
    leaves = linkage.shape[0] + 1
    start = np.zeros(2 * leaves - 1, dtype=np.int64)
    counts = np.concatenate([np.ones(leaves), linkage[:, 3]]).astype(np.int64)
    children = linkage[:, :2].astype(np.int64)
    for row in range(leaves - 2, -1, -1):
        left, right = children[row]
        start[left] = start[leaves + row]
        start[right] = start[leaves + row] + counts[left]
    return np.argsort(start[:leaves])
