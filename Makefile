# Everything a developer does here. Each target installs what it needs into .venv first.

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# Files stay whole, so that what a file's tests share is made once; each process has servers of its own. In their
# order: the slow ones come first, and the last ones are quick.
ALL_TESTS := --numprocesses=2 --dist=loadfile --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# By the environment, so that a file may have any name.
export SOURCE

.PHONY: help demo test check format bench clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/installed-demo ## Render a real video and watch it live; SOURCE=FILE uses a file of yours
	@$(BIN)/reelbase demo $${SOURCE:+--source "$$SOURCE"}

test: $(VENV)/installed-dev node ## Run all tests, or those that ARGS names for pytest
	$(BIN)/pytest $(or $(ARGS),$(ALL_TESTS))

check: $(VENV)/installed-dev node ## Format, lint, types and layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@test -d node_modules || { echo "make check: pyright comes from npm; install Node.js 20 or newer."; exit 1; }
	npx --no-install pyright

format: $(VENV)/installed-dev ## Format the code and mend what the linter can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/installed-dev ## Measure speed, as ratios beside a floor in the same run
	$(BIN)/python bench/run.py $(ARGS)

clean: ## Remove what was installed and cached here
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/installed-demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[local,worker,cli]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/installed-demo

# The first Python that is new enough and can make a virtual environment.
$(VENV)/bin/python:
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3; do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making $(VENV) with $$python ..."; exec $$python -m venv $(VENV); \
		fi; \
	done; \
	echo "Python 3.11 or newer with venv is needed and was not found."; \
	echo "Install it (Debian, Ubuntu: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python3"; \
	exit 1

# The Supabase CLI and pyright. Tests that need the CLI are skipped where there is no npm.
.PHONY: node
node:
	@if command -v npm >/dev/null 2>&1; then \
		if ! cmp -s package.json node_modules/.installed; then \
			npm install --no-package-lock --no-audit --no-fund --loglevel=error \
				&& cp package.json node_modules/.installed; \
		fi; \
	else \
		echo "npm was not found: the tests of the Supabase CLI will be skipped."; \
	fi
