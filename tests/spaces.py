"""A catalogue of known geometries: metrics whose matrices, geodesics, distances and curvatures are known otherwise.

A :class:`Space` makes its metric in any dtype and draws a :class:`Problem`: pairs of points with the answer.
The answer is a closed form where there is one; elsewhere the problem is made from its solution, by integrating
the geodesic equation from a drawn start and velocity (tests/reference.py). All answers are in float64.
The spaces themselves are in tests/geometries; a new one joins ``SPACES`` here.
"""

from __future__ import annotations

from geometries.families import BERNOULLI, CATEGORIES, GAUSSIANS
from geometries.flat import AFFINE, CLIFFORD_TORUS, CYLINDER, PLANE
from geometries.hyperbolic import HALF_PLANE, half_plane_factor
from geometries.networks import GAUSSIAN, NETWORKS
from geometries.space import Problem, Space, scalar_matrix
from geometries.spheres import (
    SPHERE,
    SPHERE_5,
    SPHERE_ANGLES,
    SPHERE_FUNCTION,
    stereographic,
    stereographic_factor,
)
from geometries.surfaces import (
    CATENOID,
    HELICOID,
    PARABOLOID,
    PARABOLOID_DIAMETERS,
    TORUS,
    TORUS_INNER_EQUATOR,
    TORUS_MERIDIANS,
)

__all__ = [
    "AFFINE",
    "BERNOULLI",
    "CATEGORIES",
    "CATENOID",
    "CLIFFORD_TORUS",
    "CYLINDER",
    "GAUSSIAN",
    "GAUSSIANS",
    "HALF_PLANE",
    "HELICOID",
    "NETWORKS",
    "PARABOLOID",
    "PARABOLOID_DIAMETERS",
    "PLANE",
    "SPACES",
    "SPHERE",
    "SPHERE_5",
    "SPHERE_ANGLES",
    "SPHERE_FUNCTION",
    "TORUS",
    "TORUS_INNER_EQUATOR",
    "TORUS_MERIDIANS",
    "Problem",
    "Space",
    "half_plane_factor",
    "scalar_matrix",
    "stereographic",
    "stereographic_factor",
]

SPACES: tuple[Space, ...] = (
    PLANE, AFFINE, CLIFFORD_TORUS, CYLINDER, SPHERE, SPHERE_5, SPHERE_ANGLES, SPHERE_FUNCTION, HALF_PLANE, TORUS,
    TORUS_MERIDIANS, TORUS_INNER_EQUATOR, PARABOLOID, PARABOLOID_DIAMETERS, CATENOID, HELICOID, *NETWORKS, GAUSSIAN,
    BERNOULLI, CATEGORIES, GAUSSIANS,
)  # fmt: skip
