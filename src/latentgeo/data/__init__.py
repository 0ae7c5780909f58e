"""Data sets with checksums: embedded digits, MNIST, synthetic surfaces."""

from latentgeo.data.digits import load_digits
from latentgeo.data.images import LabelledImages
from latentgeo.data.mnist import load_mnist
from latentgeo.data.surfaces import Surface, surface_with_hole

__all__ = ["LabelledImages", "Surface", "load_digits", "load_mnist", "surface_with_hole"]
