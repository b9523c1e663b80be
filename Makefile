# What a person types: setup, demo, check, test, bench, clean. Everything comes from the package registries.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WEB := coe/web/static/vendor

.PHONY: setup demo check test bench clean help
.DEFAULT_GOAL := help

help: ## Say what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.ready $(WEB)/.ready ## Prepare .venv and the page's own files

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(WEB)/.ready: coe/web/package-lock.json $(VENV)/.ready
	$(BIN)/python coe/web/vendor.py
	touch $@

demo: setup ## Start everything, seed the sample company and run its story; Ctrl-C stops it
	$(BIN)/coe demo

check: setup ## Format, lint, types, import contracts, sizes, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/architecture

test: check ## All checks and all tests
	$(BIN)/pytest tests

bench: setup .venv-bench/.ready ## Measure runs beside others, and whether their cost stays flat
	$(BIN)/python benchmarks/runs.py
	$(BIN)/python benchmarks/scale.py

.venv-bench/.ready: benchmarks/requirements.lock
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.lock
	touch $@

clean: ## Stop what a demo left running, and erase its data
	@if [ -x $(BIN)/coe ] && [ -d .coe ]; then $(BIN)/coe demo --stop; fi
	rm -rf .coe
