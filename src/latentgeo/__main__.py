"""``python -m latentgeo``: the command line."""

from latentgeo.cli import main

raise SystemExit(main())
