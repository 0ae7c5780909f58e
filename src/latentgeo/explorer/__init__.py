"""A page in the browser to look around in a latent space: its map, geodesics, balls and clusters."""

from latentgeo.explorer.server import explore

__all__ = ["explore"]
