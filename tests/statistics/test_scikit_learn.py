"""scikit-learn's own checks of the estimators, on the metric of the identity, which is flat in any dimension.

And arrays that scikit-learn takes as they are: of any layout, and not of any precision.
"""

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import estimator_checks_generator

import latentgeo as lg

FLAT = lg.pullback_metric(torch.nn.Identity())
_REMEMBERS = "a metric finds out at the first derivative how to take it, and remembers"
_FEW = "covariances take more points than coordinates, and the check has fewer of positive weight"
_LAND = {
    "check_estimators_overwrite_params": _REMEMBERS,
    "check_sample_weight_equivalence_on_dense_data": _FEW,
}
_UNMET = {
    "GeodesicKMeans": {
        "check_estimators_overwrite_params": _REMEMBERS,
        "check_sample_weight_equivalence_on_dense_data": "starts are drawn, and repeated points are other draws",
    },
    "PrincipalGeodesicAnalysis": {"check_estimators_overwrite_params": _REMEMBERS},
    "GeodesicKNeighborsClassifier": {},
    "LocallyAdaptiveNormal": _LAND,
    "LocallyAdaptiveNormalMixture": _LAND,
}
# what needs pandas or a setting of the environment
_SKIPPED = {
    "check_sample_weights_pandas_series",
    "check_array_api_input",
    "check_classifier_data_not_an_array",
}
# fits of LAND in ten coordinates, where few draws make for many steps
_SLOW = {"check_dtype_object", "check_estimators_dtypes"}


def cases() -> list:
    estimators = (
        lg.GeodesicKMeans(FLAT, 2),
        lg.GeodesicKNeighborsClassifier(FLAT),
        lg.PrincipalGeodesicAnalysis(FLAT),
        lg.LocallyAdaptiveNormal(FLAT, n_samples=32, tol=1.0),
        lg.LocallyAdaptiveNormalMixture(FLAT, 2, n_samples=32, tol=1.0),
    )
    return [
        pytest.param(
            e,
            check,
            id=f"{type(e).__name__}-{check.func.__name__}-{i}",
            marks=[pytest.mark.slow]
            if check.func.__name__ in _SLOW and type(e).__name__.startswith("Locally")
            else [],
        )
        for estimator in estimators
        for i, (e, check) in enumerate(estimator_checks_generator(estimator))
        if check.func.__name__ not in {*_UNMET[type(estimator).__name__], *_SKIPPED}
    ]


@pytest.mark.parametrize(("estimator", "check"), cases())
def test_check_is_met(unchecked: None, estimator: BaseEstimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize(
    "laid_out",
    [
        lambda X: X[::-1].copy()[::-1],
        lambda X: X[:, ::-1].copy()[:, ::-1],
        lambda X: X.astype(X.dtype.newbyteorder()),
        np.asfortranarray,
    ],
    ids=["rows backwards", "columns backwards", "bytes swapped", "by columns"],
)
def test_arrays_of_any_layout_are_as_their_values(unchecked: None, laid_out) -> None:
    X = np.random.default_rng(0).normal(size=(12, 2))
    weights = np.arange(1.0, 13)
    estimator = lg.GeodesicKMeans(lg.EuclideanMetric(2), 2, random_state=0)
    expected = estimator.fit_transform(X, sample_weight=weights)
    found = estimator.fit_transform(laid_out(X), sample_weight=laid_out(weights[:, None])[:, 0])
    np.testing.assert_array_equal(found, expected)
    assert torch.equal(
        lg.frechet_mean(lg.EuclideanMetric(2), laid_out(X)).point,
        lg.frechet_mean(lg.EuclideanMetric(2), X).point,
    )


@pytest.mark.parametrize(
    "X",
    [
        np.ones((12, 2), np.float16),
        np.ones((12, 2), np.longdouble),
        torch.ones(12, 2, dtype=torch.bfloat16),
        torch.ones(12, 2, dtype=torch.complex64),
    ],
    ids=["float16", "long double", "bfloat16", "complex64"],
)
def test_other_precisions_than_single_and_double_are_refused(unchecked: None, X) -> None:
    for estimator in (lg.GeodesicKMeans(FLAT, 2), lg.LocallyAdaptiveNormal(FLAT)):
        with pytest.raises(TypeError, match="X must be in float32 or float64, got"):
            estimator.fit(X)
    with pytest.raises(TypeError, match="points must be in float32 or float64, got"):
        lg.frechet_mean(FLAT, X)
