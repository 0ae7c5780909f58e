"""Principal geodesic analysis: flat space by scikit-learn, curved ones by what defines it."""

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

import latentgeo as lg
import spaces
from latentgeo import ConvergenceWarning, DiagonalNormal, EuclideanMetric, PrincipalGeodesicAnalysis
from latentgeo.gaussians import diagonal

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
CURVED = pytest.mark.parametrize("space", [spaces.HALF_PLANE, spaces.SPHERE_5], ids=str)


def points_on(space: spaces.Space, n: int = 8) -> torch.Tensor:
    return space.points(n, torch.Generator().manual_seed(0))


@DTYPES
@pytest.mark.parametrize("count", [None, 1, 3])
def test_flat_space_gives_what_scikit_learn_gives(dtype, count):
    scale = torch.tensor([3.0, 1.0, 0.3], dtype=dtype)
    x = scale * torch.randn(40, 3, dtype=dtype, generator=torch.Generator().manual_seed(0)) + 1
    ours = PrincipalGeodesicAnalysis(EuclideanMetric(3), count).fit(x)
    theirs = PCA(count, svd_solver="full").fit(x.double().numpy())
    for name in (
        "mean_", "components_", "explained_variance_", "explained_variance_ratio_", "singular_values_"
    ):  # fmt: skip
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=2e-4, atol=2e-5)
        assert getattr(ours, name).dtype == dtype
    np.testing.assert_allclose(ours.transform(x), theirs.transform(x.double().numpy()), atol=1e-4)


def test_affine_decoder_gives_the_components_of_its_images():
    space = spaces.AFFINE
    x = points_on(space, 30)
    fitted = PrincipalGeodesicAnalysis(space.metric()).fit(x)
    theirs = PCA(3).fit(x @ _linear(space).T)
    np.testing.assert_allclose(fitted.explained_variance_, theirs.explained_variance_, rtol=1e-8)
    images = (fitted.components_ @ _linear(space).T).numpy()
    np.testing.assert_allclose(np.abs((images * theirs.components_).sum(1)), 1, rtol=1e-8)


def _linear(space: spaces.Space) -> torch.Tensor:
    """A matrix with the metric of an affine decoder, and so its principal components up to a rotation."""
    return torch.linalg.cholesky(space.matrix(torch.zeros(1, space.dim, dtype=torch.float64))[0]).T


@CURVED
def test_components_diagonalize_the_covariance_of_logarithms(space):
    """By the closed forms of the space: cᵢᵀ G cⱼ = δᵢⱼ, and cᵢᵀ G S G cⱼ = λᵢ δᵢⱼ."""
    x = points_on(space)
    fitted = PrincipalGeodesicAnalysis(space.metric()).fit(x)
    mean, components = fitted.mean_, fitted.components_
    matrix = space.matrix(mean[None])[0]
    identity = torch.eye(space.dim, dtype=torch.float64)
    torch.testing.assert_close(components @ matrix @ components.T, identity, rtol=0, atol=1e-10)
    coordinates = space.formulas.log(mean.expand_as(x), x) @ matrix @ components.T
    covariance = coordinates.T @ coordinates / (len(x) - 1)
    wanted = torch.diag(fitted.explained_variance_)
    torch.testing.assert_close(covariance, wanted, rtol=1e-4, atol=1e-4 * float(wanted.max()))
    assert (fitted.explained_variance_.diff() <= 0).all()
    assert float(fitted.explained_variance_ratio_.sum()) == pytest.approx(1)


@CURVED
def test_coordinates_are_polar_about_the_mean_and_lead_back(space):
    """Their norm is the distance to the mean, and the exponential map undoes the logarithm."""
    x = points_on(space)
    fitted = PrincipalGeodesicAnalysis(space.metric()).fit(x)
    coordinates = fitted.transform(x)
    distance = space.formulas.distance(fitted.mean_.expand_as(x), x)
    torch.testing.assert_close(coordinates.norm(dim=1), distance, rtol=1e-5, atol=0)
    torch.testing.assert_close(fitted.inverse_transform(coordinates), x, rtol=0, atol=1e-4)


def test_points_of_one_geodesic_have_one_component():
    """On a great circle: a single coordinate, the signed arc from the middle, gives every point again."""
    arcs = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    start = torch.tensor([0.3, -0.2], dtype=torch.float64)
    direction = torch.tensor([0.2, 0.5], dtype=torch.float64)
    x = spaces.SPHERE.formulas.exp(start.expand(9, 2), arcs * direction)
    fitted = PrincipalGeodesicAnalysis(spaces.SPHERE.metric(), 1).fit(x)
    assert float(fitted.explained_variance_ratio_[0]) == pytest.approx(1, abs=1e-8)
    coordinates = fitted.transform(x)
    speed = float(spaces.SPHERE.metric().norm(start, direction))
    torch.testing.assert_close(coordinates.abs(), speed * arcs.abs(), rtol=0, atol=1e-5)
    torch.testing.assert_close(fitted.inverse_transform(coordinates), x, rtol=0, atol=1e-5)


def test_variances_do_not_depend_on_the_latent_coordinates():
    x = points_on(spaces.SPHERE)
    bent = lg.pullback_metric(
        lambda w: spaces.stereographic(torch.stack([w[:, 0], w[:, 1] - w[:, 0] ** 3], 1))
    )
    charted = torch.stack([x[:, 0], x[:, 1] + x[:, 0] ** 3], 1)
    here = PrincipalGeodesicAnalysis(spaces.SPHERE.metric()).fit(x)
    there = PrincipalGeodesicAnalysis(bent).fit(charted)
    torch.testing.assert_close(here.explained_variance_, there.explained_variance_, rtol=1e-4, atol=0)
    torch.testing.assert_close(here.transform(x).abs(), there.transform(charted).abs(), rtol=1e-3, atol=1e-4)


def test_normals_by_their_closed_forms():
    """Standard deviations alone: normals of one mean lie on a geodesic, at √2 log σ."""
    logs = torch.tensor([-1.0, -0.2, 0.3, 0.9], dtype=torch.float64)
    x = torch.stack([torch.full_like(logs, 0.7), logs.exp()], 1)[:, :, None]
    fitted = PrincipalGeodesicAnalysis(DiagonalNormal(), 1).fit(x)
    assert fitted.components_.shape == (1, 2, 1)
    assert float(fitted.explained_variance_[0]) == pytest.approx(float(2 * logs.var()), rel=1e-6)
    torch.testing.assert_close(
        fitted.transform(x)[:, 0].abs(), math.sqrt(2) * (logs - logs.mean()).abs(), rtol=1e-5, atol=1e-6
    )
    generator = torch.Generator().manual_seed(0)
    z = torch.stack(
        [torch.randn(20, 3, generator=generator), torch.rand(20, 3, generator=generator) + 0.5], 1
    )
    z = z.double()
    fitted = PrincipalGeodesicAnalysis(DiagonalNormal()).fit(z)
    coordinates = fitted.transform(z)
    torch.testing.assert_close(fitted.inverse_transform(coordinates), z, rtol=0, atol=1e-8)
    torch.testing.assert_close(
        coordinates.norm(dim=1), diagonal.distance(fitted.mean_.expand_as(z), z), rtol=1e-8, atol=0
    )


def test_numpy_in_numpy_out():
    x = points_on(spaces.PLANE).numpy()
    fitted = PrincipalGeodesicAnalysis(spaces.PLANE.metric(), 1)
    coordinates = fitted.fit_transform(x)
    for value in (fitted.mean_, fitted.components_, coordinates, fitted.inverse_transform(coordinates)):
        assert isinstance(value, np.ndarray)
    assert coordinates.shape == (8, 1)
    assert isinstance(fitted.transform(torch.from_numpy(x)), torch.Tensor)
    assert fitted.get_feature_names_out().tolist() == ["principalgeodesicanalysis0"]


def test_points_without_extent_have_no_variance():
    fitted = PrincipalGeodesicAnalysis(spaces.SPHERE.metric()).fit(torch.full((4, 2), 0.1).double())
    assert fitted.explained_variance_.tolist() == [0, 0]
    assert fitted.explained_variance_ratio_.tolist() == [0, 0]


def test_point_out_of_reach_does_not_count():
    def decoder(z):
        return torch.cat([z, torch.where(z[:, :1] > 5, torch.nan, 0 * z[:, :1])], 1)

    x = torch.tensor([[0.0, 0.0], [1.0, 0.5], [0.3, 1.0], [9.0, 0.0]], dtype=torch.float64)
    metric = lg.pullback_metric(decoder)
    with pytest.warns(ConvergenceWarning, match="NON_FINITE"):
        fitted = PrincipalGeodesicAnalysis(metric).fit(x)
    within = PrincipalGeodesicAnalysis(metric).fit(x[:3])
    torch.testing.assert_close(fitted.explained_variance_, within.explained_variance_, rtol=1e-4, atol=0)
    with pytest.warns(ConvergenceWarning, match="1 of 4 geodesics from the mean"):
        coordinates = fitted.transform(x)
    assert coordinates[-1].isnan().all()
    assert coordinates[:3].isfinite().all()


@pytest.mark.parametrize(
    ("count", "points", "message"),
    [
        (0, torch.zeros(4, 2), r"n_components must be an integer from 1 to min\(N, d\) = 2, or None, got 0"),
        (3, torch.zeros(4, 2), "n_components must be an integer from 1"),
        (0.9, torch.zeros(4, 2), "n_components must be an integer from 1"),
        (None, torch.zeros(1, 2), "at least 2 points"),
        (None, torch.zeros(4, 2) * torch.nan, "X must be finite"),
        (None, torch.zeros(2), r"X must have shape \(N, d\)"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(unchecked, count, points, message):
    with pytest.raises(ValueError, match=message):
        PrincipalGeodesicAnalysis(EuclideanMetric(2), count).fit(points)


def test_other_mistakes_are_named(unchecked):
    estimator = PrincipalGeodesicAnalysis(EuclideanMetric(2), 1)
    with pytest.raises(NotFittedError):
        estimator.transform(torch.zeros(3, 2))
    fitted = estimator.fit(torch.eye(2))
    with pytest.raises(ValueError, match="X has 3 features, but PrincipalGeodesicAnalysis is expecting 2"):
        fitted.transform(torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"X must have shape \(N, 1\), a column for each component"):
        fitted.inverse_transform(torch.zeros(3, 2))
    with pytest.raises(TypeError, match="metric must be a latentgeo Metric"):
        PrincipalGeodesicAnalysis(torch.eye(2)).fit(torch.eye(2))
    flattening = lg.pullback_metric(lambda z: z[:, :1])
    with pytest.raises(ValueError, match="the metric must be regular and finite at the mean"):
        PrincipalGeodesicAnalysis(flattening).fit(torch.eye(2))
