"""``python -m latentgeo``: the command line."""

import sys

from latentgeo.cli import main

if __name__ == "__main__":
    sys.exit(main())
