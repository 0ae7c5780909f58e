"""Data sets: embedded digits, MNIST, CIFAR-10, Frey faces, synthetic surfaces."""

from latentgeo.data.cifar10 import load_cifar10
from latentgeo.data.digits import load_digits
from latentgeo.data.frey_faces import load_frey_faces
from latentgeo.data.images import LabelledImages
from latentgeo.data.mnist import load_mnist
from latentgeo.data.surfaces import LabelledSurface, Surface, surface_with_hole, swiss_roll, two_moons

__all__ = [
    "LabelledImages",
    "LabelledSurface",
    "Surface",
    "load_cifar10",
    "load_digits",
    "load_frey_faces",
    "load_mnist",
    "surface_with_hole",
    "swiss_roll",
    "two_moons",
]
