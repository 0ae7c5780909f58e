"""Pictures of a two-dimensional latent space: each function takes a matplotlib Axes and returns what it drew."""

from latentgeo.plots.curves import curves, straight_lines
from latentgeo.plots.ellipses import indicatrices
from latentgeo.plots.images import image_strip
from latentgeo.plots.latent_plots import correlation_map, image_grid, spectrum_bars
from latentgeo.plots.maps import color_bar, metric_map
from latentgeo.plots.palette import COLORS, GEODESIC, MARKERS, PALE, STRAIGHT
from latentgeo.plots.plane import bounds_of
from latentgeo.plots.points import clusters, latent_scatter

__all__ = [
    "COLORS",
    "GEODESIC",
    "MARKERS",
    "PALE",
    "STRAIGHT",
    "bounds_of",
    "clusters",
    "color_bar",
    "correlation_map",
    "curves",
    "image_grid",
    "image_strip",
    "indicatrices",
    "latent_scatter",
    "metric_map",
    "spectrum_bars",
    "straight_lines",
]
