# Everything a developer runs. Each target makes its own environment in .venv; only Python 3.11+ and make are needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check bench spec spec-soak soak clean help

help:
	@echo "make demo    the main job, live, without a server"
	@echo "make test    all tests"
	@echo "make check   what CI runs: format, lint, types, layers, tests with coverage"
	@echo "make spec    the specification, its mutants and traces (TLC; needs Java)"
	@echo "make bench   ratios against plain redis-py"

$(STAMP): pyproject.toml
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable '.[cli,fast,testing]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/segmenter demo

test: $(STAMP)
	@$(BIN)/python -m pytest

check: $(STAMP)
	@$(BIN)/python .ci/check.py

spec: $(STAMP)
	@$(BIN)/python -m tests.specification

spec-soak: $(STAMP)
	@$(BIN)/python -m tests.specification soak

soak: spec-soak

bench: $(STAMP)
	@$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
