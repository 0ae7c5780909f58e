"""scikit-learn's own checks of the estimators, on the metric of the identity, which is flat in any dimension."""

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
