# make demo   train a small network on real text and draw it; leaves its results in demo/
# make test   formatting, lint, types, import layers, every test, the doctests and the README
# make stress random graphs, many processes, arguments that do not fit, for some minutes; NIGHTLY=1 for some hours
# make bench  speed, and which faults gradient checkers catch, beside others: HIPS autograd, JAX, PyTorch, ...
#
# Everything lives in .venv; a stamp file for each installed set keeps a second run quick.
# Another interpreter than the one found on PATH: make PYTHON=/path/to/python3.12 demo

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --editable

# One thread for each test process: pytest already runs one process per core.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
WORKERS ?= 2
HYPOTHESIS_PROFILE ?= ci

.PHONY: help demo test stress bench

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed-train
	$(BIN)/tinygrad-rnn demo

test: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(ONE_THREAD) PYTHONWARNDEFAULTENCODING=1 HYPOTHESIS_PROFILE=$(HYPOTHESIS_PROFILE) \
		$(BIN)/python -m pytest -q -n $(WORKERS)

stress: $(VENV)/.installed-test
	$(ONE_THREAD) NIGHTLY=$(NIGHTLY) $(BIN)/python -m pytest -q -n $(WORKERS) tests/stress

bench: $(VENV)/.installed-bench
	$(ONE_THREAD) $(BIN)/python -m pytest -q tests/benchmarks

$(BIN)/python:
	@for candidate in "$(PYTHON)" python3 python3.11 python3.12 python3.13 python3.14 python; do \
		if [ -n "$$candidate" ] && "$$candidate" -c \
			'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			echo "making $(VENV) with $$("$$candidate" --version)"; \
			"$$candidate" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; \
			exit 0; \
		fi; \
	done; \
	echo "error: no Python 3.11 or newer with the venv module was found on PATH." >&2; \
	echo "Install one (on Debian or Ubuntu: python3 and python3-venv) or name one: make PYTHON=/path/to/python3" >&2; \
	exit 1

$(VENV)/.installed-train: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) ".[train]"
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) ".[test,notebook]"
	@touch $@ $(VENV)/.installed-train

$(VENV)/.installed-bench: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) ".[test,train,jit,peers]"
	@touch $@
