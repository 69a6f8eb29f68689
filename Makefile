# Everything a developer runs. Each target makes its own environment in .venv; only Python 3.11+ and make are needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MINUTES ?= 60

.PHONY: demo test docs mutants chaos failover spec spec-soak check soak bench clean help

help:
	@echo "make demo    the main job, live, without a server"
	@echo "make test    all tests"
	@echo "make docs    the documentation as a site, in site/"
	@echo "make mutants each safeguard taken out of a copy of the code: a test must notice"
	@echo "make chaos   worker processes on a real Redis while everything goes wrong, for a minute"
	@echo "make failover  what an asynchronous failover loses at each durability setting: an experiment"
	@echo "make spec    the specification, its mutants and traces (TLC; needs Java)"
	@echo "make check   what CI runs: format, lint, types, layers, mutants, tests with coverage"
	@echo "make soak    more of the same, for hours: larger bounds of the exploration, more seeds, chaos round after round"
	@echo "make bench   ratios against plain redis-py, and other libraries at the same job"

$(STAMP): pyproject.toml
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable '.[cli,fast,testing]' --editable examples/sqlite_backend
	@touch $@

demo: $(STAMP)
	@$(BIN)/segmenter demo

test: $(STAMP)
	@$(BIN)/python -m pytest

docs: $(STAMP)
	@$(BIN)/python -m tests.docs

mutants: $(STAMP)
	@$(BIN)/python -m tests.mutants

chaos: $(STAMP)
	@$(BIN)/python -m tests.chaos

failover: $(STAMP)
	@$(BIN)/python -m tests.chaos.failover

check: $(STAMP)
	@$(BIN)/python .ci/check.py

spec: $(STAMP)
	@$(BIN)/python -m tests.specification

spec-soak: $(STAMP)
	@$(BIN)/python -m tests.specification soak

soak: $(STAMP) spec-soak
	@$(BIN)/python -m tests.exploration --soak
	@$(BIN)/python -m segmenter.testing.simulation 1000 20000
	@$(BIN)/python -m tests.chaos --soak --server both --minutes $(MINUTES) --rate 1500

bench: $(STAMP)
	@$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist site
