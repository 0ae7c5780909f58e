"""Colours that stay apart in colour-blind eyes, on light heat maps and on white.

References:
    M. Okabe, K. Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/.
"""

from matplotlib.colors import LinearSegmentedColormap

# Okabe and Ito's, without the yellow that is lost on white; neighbours differ in lightness as well as in hue.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
# One a class, so that a class is told by shape too.
MARKERS = ("o", "^", "s", "D", "v", "P", "X")

GEODESIC = "#D55E00"
STRAIGHT = "#000000"

# A map to lie under coloured points and lines.
PALE = LinearSegmentedColormap.from_list("pale", ("#FFFFFF", "#808080"))

# From early to late along a walk, apart in lightness from white and from what is pale.
TIME = LinearSegmentedColormap.from_list("time", ("#E69F00", "#D55E00", "#CC79A7", "#0072B2", "#000000"))
