"""Principal geodesics: the main direction of data on a curved space, which no straight line follows.

Longitude and latitude are latent coordinates like any: a decoder makes points in space of them. A route near the
pole is straight on the globe, and one number says how far along it a place is. On the map it is an arch: the
principal axis of the coordinates cuts across it, and is far from most of its places.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from latentgeo import EuclideanMetric, PrincipalGeodesicAnalysis, pullback_metric
from latentgeo.plots import COLORS, GEODESIC, STRAIGHT

ELEVATION = 45.0  # of who looks at the globe


def globe(z: torch.Tensor) -> torch.Tensor:
    """The decoder: longitudes and latitudes (N, 2) in degrees to points (N, 3) of the sphere of radius one."""
    longitude, latitude = z.deg2rad().unbind(1)
    level = latitude.cos()
    return torch.stack([level * longitude.cos(), level * longitude.sin(), latitude.sin()], 1)


def places(count: int, north: float = 65.0) -> torch.Tensor:
    """Longitudes and latitudes (N, 2) near a great circle, the equator turned up to so many degrees."""
    along, across = torch.randn(2, count, generator=torch.Generator().manual_seed(0))
    x, y, z = globe(torch.stack([38 * along.clamp(-2.2, 2.2), 3 * across], 1)).unbind(1)
    sin, cos = torch.tensor(north).deg2rad().sin(), torch.tensor(north).deg2rad().cos()
    x, z = cos * x - sin * z, sin * x + cos * z
    return torch.stack([torch.atan2(y, x), z.asin()], 1).rad2deg()


def graticule() -> list[torch.Tensor]:
    """The meridians and parallels, every 30 degrees."""
    turn = torch.arange(-180.0, 181)
    meridians = [torch.stack([torch.full_like(turn, west), turn / 2], 1) for west in range(-180, 180, 30)]
    return meridians + [torch.stack([turn, torch.full_like(turn, north)], 1) for north in range(-60, 90, 30)]


def main(count: int = 150, out: Path = Path("principal_geodesics.png")) -> None:
    """Describes each place by one number in both ways, says how far off that is, and draws both axes."""
    z = places(count)
    figure = Figure(figsize=(10, 4.3), layout="constrained")
    flat = figure.add_subplot(121)
    ball = figure.add_subplot(122, projection="3d", proj_type="ortho", computed_zorder=False)
    for line in graticule():
        seen = globe(line) @ globe(torch.tensor([[0.0, ELEVATION]]))[0] > 0
        ball.plot(*torch.where(seen[:, None], globe(line), torch.nan).T, color="0.8", linewidth=0.6)
    flat.scatter(*z.T, s=12, color=COLORS[0], label="places")
    ball.scatter(*globe(z).T, s=8, color=COLORS[0], depthshade=False)

    axes_of = {
        "straight axis": (EuclideanMetric(2), STRAIGHT, "--"),
        "principal geodesic": (pullback_metric(globe), GEODESIC, "-"),
    }
    for name, (metric, color, style) in axes_of.items():
        model = PrincipalGeodesicAnalysis(metric, n_components=1).fit(z)
        number = model.transform(z)  # where along the axis each place is
        chord = (globe(model.inverse_transform(number)) - globe(z)).norm(dim=1)
        off = chord.div(2).asin().mul(2).rad2deg().square().mean().sqrt()
        along, mean = torch.linspace(*number.aminmax(), 200)[:, None], model.mean_[None]
        line = model.inverse_transform(along)
        for axes, *drawn in ((flat, line, mean), (ball, globe(line), globe(mean))):
            axes.plot(*drawn[0].T, style, color=color, linewidth=2.0, label=f"{name}: {off:.1f}° off")
            axes.plot(*drawn[1].T, "*", color=color, markersize=14, markeredgecolor="white", zorder=9)
        print(f"{name}: places are {off:.1f} degrees off on the globe")
    flat.set(title="latent coordinates", xlabel="longitude", ylabel="latitude", ylim=(-25, 80))
    flat.legend(loc="lower center", fontsize="small")
    ball.set_title("decoded")
    ball.view_init(elev=ELEVATION, azim=0)
    ball.set_box_aspect((1, 1, 1), zoom=1.6)
    ball.set_axis_off()
    figure.savefig(out, dpi=110)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
