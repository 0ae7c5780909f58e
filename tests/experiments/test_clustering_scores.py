import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from latentgeo.experiments.clustering_scores import ClusteringScores, f_measure, matched_clusters, purity

labelled = st.integers(2, 40).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 4), min_size=n, max_size=n).map(np.array),) * 2)
)


@given(labelled)
def test_f_measure_is_the_weighted_best_f1_of_scikit_learn(pair):
    classes, clusters = pair
    slow = sum(
        (classes == c).mean() * max(f1_score(classes == c, clusters == k) for k in np.unique(clusters))
        for c in np.unique(classes)
    )
    assert f_measure(classes, clusters) == pytest.approx(slow)


@given(labelled)
def test_scores_do_not_depend_on_the_names_of_clusters(pair):
    classes, clusters = pair
    renamed = np.array([3, 1, 4, 0, 2])[clusters]
    a, b = ClusteringScores.of(classes, clusters), ClusteringScores.of(classes, renamed)
    assert a.f_measure == pytest.approx(b.f_measure)
    assert a.purity == pytest.approx(b.purity)
    assert a.adjusted_rand == pytest.approx(b.adjusted_rand)


def test_perfect_clusters_score_one():
    classes = np.array([0, 0, 1, 2, 2])
    assert ClusteringScores.of(classes, 2 - classes) == ClusteringScores(1.0, 1.0, 1.0)


def test_one_cluster_for_all_is_pure_only_in_its_largest_class():
    classes = np.array([0, 0, 0, 1, 2])
    assert purity(classes, np.zeros(5, dtype=int)) == pytest.approx(0.6)


@given(labelled)
def test_matching_is_one_to_one_and_undoes_a_renaming(pair):
    classes, clusters = pair
    assert sorted(matched_clusters(classes, clusters, 5)) == list(range(5))
    present = np.unique(classes)
    names = np.arange(len(present))[::-1]
    renamed = names[np.searchsorted(present, classes)]
    np.testing.assert_array_equal(matched_clusters(classes, renamed, len(present)), names)


def test_sizes_must_match():
    with pytest.raises(ValueError, match="clusters: expected shape"):
        f_measure(np.zeros(3), np.zeros(4))
