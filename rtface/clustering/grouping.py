"""Groups of faces that are one person's: agglomerative clustering, k-means, and a graph that holds at any number.

Rows are unit vectors and distances squared L2, 0..4. Every method gives a number a face; the largest group is 0.

Sources: Schroff et al., *FaceNet*, 2015, section 5.8, clusters agglomeratively; Biemann, *Chinese Whispers*, 2006, for
the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rtface.clustering.neighbors import nearest_edges
from rtface.errors import ConfigError, MissingLibrary
from rtface.gallery.voting import distance_limit

Rows = NDArray[np.float32]
Groups = NDArray[np.int64]

MOST_LINKED = 20_000
"""Faces that agglomerative clustering takes; it holds all their distances, 1.6 GB at this number."""
SURE_RATE = 1e-3
ROUNDS = 100


class Method(StrEnum):
    """How faces are put together."""

    GRAPH = "graph"
    AVERAGE = "average"
    COMPLETE = "complete"
    KMEANS = "kmeans"


def default_distance(limits: Mapping[float, float], faces: int) -> float:
    """The distance up to which two faces count as alike among this many.

    One stranger in 1,000 may pass; among more faces fewer, so that each has about one false neighbour at most.

    Raises:
        ConfigError: the model has no measured limits.
    """
    return distance_limit(limits, faces, min(1.0, SURE_RATE * max(faces, 1)))


def group_faces(
    rows: Rows,
    method: Method,
    *,
    distance: float,
    people: int | None = None,
    pictures: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Groups:
    """(N,) the group of each face.

    Args:
        rows: (N, D) unit vectors.
        method: which.
        distance: faces or groups farther apart are not put together; not used by k-means.
        people: how many groups k-means is to make.
        pictures: (N,) which picture a face is in: the graph joins no two faces of one picture directly.
        seed: of whatever is drawn.

    Raises:
        ConfigError: the method cannot take this many faces, or is not told how many people.
    """
    if len(rows) < 2:
        return np.zeros(len(rows), np.int64)
    match method:
        case Method.GRAPH:
            found = whisper(len(rows), *nearest_edges(rows, distance, pictures=pictures), seed=seed)
        case Method.AVERAGE | Method.COMPLETE:
            found = _linked(rows, method, distance)
        case Method.KMEANS:
            found = _around_means(rows, people, seed)
    return by_size(found)


def _linked(rows: Rows, method: Method, distance: float) -> Groups:
    if len(rows) > MOST_LINKED:
        raise ConfigError(
            f"{method} linkage holds all distances and takes {MOST_LINKED:,} faces at most, these are {len(rows):,}: "
            "take --method graph."
        )
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    return np.asarray(fcluster(linkage(pdist(rows, "sqeuclidean"), method.value), distance, "distance"), np.int64)


def _around_means(rows: Rows, people: int | None, seed: int) -> Groups:
    if people is None:
        raise ConfigError("k-means has to be told how many people there are: --people N. The other methods find out.")
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise MissingLibrary("k-means needs scikit-learn: pip install 'rtface[cluster]'") from error
    return np.asarray(KMeans(min(people, len(rows)), n_init=4, random_state=seed).fit(rows).labels_, np.int64)


def whisper(count: int, edges: NDArray[np.int64], weights: NDArray[np.float64], *, seed: int = 0) -> Groups:
    """(count,) labels that neighbours agree on: each takes the one that weighs most around it, until none changes.

    Args:
        count: of faces.
        edges: (E, 2) faces that are alike, each pair once.
        weights: (E,) over 0.
        seed: of the order in which they are asked.
    """
    source, target = np.concatenate([edges, edges[:, ::-1]]).T
    heard = np.tile(weights, 2)
    labels, rng = np.arange(count), np.random.default_rng(seed)
    for _ in range(ROUNDS):
        listeners, loudest = _loudest(source, labels[target], heard, count)
        restless = labels[listeners] != loudest
        if not restless.any():
            break
        # Half of them at a time: two that listen to each other would swap labels for ever.
        moving = restless & (rng.random(len(listeners)) < 0.5)
        labels[listeners[moving]] = loudest[moving]
    return labels


def _loudest(
    listeners: NDArray[np.int64], labels: NDArray[np.int64], weights: NDArray[np.float64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each listener once, and the label that weighs most around it; the smallest where several weigh the same."""
    keys, place = np.unique(listeners * count + labels, return_inverse=True)
    sums = np.bincount(place, weights, len(keys))
    owners = keys // count
    order = np.lexsort((-sums, owners))
    first = np.unique(owners[order], return_index=True)[1]
    best = order[first]
    return owners[best], keys[best] % count


def by_size(labels: NDArray[np.integer]) -> Groups:
    """(N,) the same groups, numbered from the largest on; the one that begins first where they are equal."""
    _, first, places, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.arange(len(order))
    return numbers[places]
