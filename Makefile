# Each command does all of its own set-up; nothing has to be run before it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test docs benchmark lint types check clean
.DEFAULT_GOAL := test

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	touch $@

demo: .venv/.installed  ## train a small VAE on embedded digits, draw its geodesics and clusters
	$(BIN)/latentgeo demo

test: .venv/.installed  ## the whole test suite
	$(BIN)/python -m pytest --numprocesses auto $(PYTEST_ARGS)

docs: .venv/.installed  ## the documentation in docs/_build/html, with every example of the gallery run
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

benchmark: .venv/.installed  ## every benchmark, on decoders it trains itself; data from LATENTGEO_DATA; an hour
	$(BIN)/python -m pip install --quiet --no-deps stochman==0.3.0
	for name in geodesic_speed accuracy growth metric_speed memory training_speed; do \
		OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$name.py || exit 1; \
	done
	for name in many_latents gaussian_speed log_likelihood distance_matrix cluster_scaling landmarks; do $(BIN)/python benchmarks/$$name.py || exit 1; done

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed
	$(BIN)/pyright

check: lint types test

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
