"""Pictures of a two-dimensional latent space: each function takes a matplotlib Axes and returns what it drew."""

from latentgeo.plots.balls import distance_map, geodesic_balls, geodesic_fan
from latentgeo.plots.curves import curves, straight_lines
from latentgeo.plots.ellipses import indicatrices
from latentgeo.plots.images import decoded_strips, image_grid, image_strip
from latentgeo.plots.latent_plots import correlation_map, spectrum_bars
from latentgeo.plots.maps import color_bar, curvature_map, metric_map
from latentgeo.plots.palette import COLORS, GEODESIC, MARKERS, PALE, STRAIGHT, TIME
from latentgeo.plots.plane import bounds_of
from latentgeo.plots.points import clusters, latent_scatter
from latentgeo.plots.walks import walk

__all__ = [
    "COLORS",
    "GEODESIC",
    "MARKERS",
    "PALE",
    "STRAIGHT",
    "TIME",
    "bounds_of",
    "clusters",
    "color_bar",
    "correlation_map",
    "curvature_map",
    "curves",
    "decoded_strips",
    "distance_map",
    "geodesic_balls",
    "geodesic_fan",
    "image_grid",
    "image_strip",
    "indicatrices",
    "latent_scatter",
    "metric_map",
    "spectrum_bars",
    "straight_lines",
    "walk",
]
