# Every target sets up what it needs: Python 3.11 or newer, make and a package index are enough.
# `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
ARGS ?=

# A stamp says what the environment holds: a lock that is newer installs again, else nothing is run.
VENV_PYTHON := $(BIN)/python
CORE_READY := $(VENV)/.ready-core
DEV_READY := $(VENV)/.ready-dev

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ------------------------------------------------------------------------------------------------------------- set-up
# A .venv that somebody made by hand is used as it is; make builds one only where there is none.
$(VENV_PYTHON):
	@python=""; \
	for name in $${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3 python; do \
	  if command -v "$$name" >/dev/null && "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python="$$name"; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "make: no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	echo "making $(VENV) with $$($$python --version)"; \
	"$$python" -m venv $(VENV)

# Hashes are checked, the project itself is installed in place, and nothing is fetched to build it beyond the lock.
define install
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || $(VENV_PYTHON) -m ensurepip --upgrade
	@echo "installing requirements/$(1).txt into $(VENV)"
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).txt
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endef

$(CORE_READY): requirements/core.txt pyproject.toml | $(VENV_PYTHON)
	$(call install,core)
	@touch $@

$(DEV_READY): requirements/dev.txt pyproject.toml | $(VENV_PYTHON)
	$(call install,dev)
	@touch $(CORE_READY) $@

.PHONY: setup
setup: $(DEV_READY) ## Make .venv with everything that tests and tools need

# ------------------------------------------------------------------------------------------------------------ for all
.PHONY: demo
demo: $(CORE_READY) ## Run the worker on generated traffic, without a broker, and show what comes out
	$(BIN)/lifecycle demo $(ARGS)

.PHONY: test
test: lint ## Check style and types, then run the test suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

.PHONY: lint
lint: $(DEV_READY) ## Check style and types, change nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(DEV_READY) ## Put the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: schemas
schemas: $(DEV_READY) ## Write schemas/json, schemas/asyncapi.yaml and the schemas for editors from the models
	$(BIN)/python -m schemas.generate
	$(BIN)/python -m worker.lint.editors

# ------------------------------------------------------------------------------------------------------- slow proofs
.PHONY: bench
bench: $(DEV_READY) ## Measure: end to end, replay, a hot contact, restore, memory; prints a table
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: kill
kill: $(DEV_READY) ## Kill, stop and wipe workers on a real broker under load, and check what readers saw
	$(BIN)/python -m pytest -m "slow and broker" -o faulthandler_timeout=0 $(ARGS)

.PHONY: simulate
simulate: $(DEV_READY) ## Run the simulator over thousands of seeds, crashing at every step (ARGS="--seeds 5000")
	$(BIN)/python -m pytest -n $(WORKERS) -m "slow and not broker" -o faulthandler_timeout=0 $(if $(findstring --seeds,$(ARGS)),,--seeds 2000) $(ARGS)

# ------------------------------------------------------------------------------------------------------------- upkeep
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes --no-header \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options --annotation-style=line

.PHONY: lock
lock: | $(VENV_PYTHON) ## Pin dependencies anew, with hashes (ARGS="--upgrade" for newer releases)
	$(COMPILE) $(ARGS) --all-extras --output-file requirements/dev.txt pyproject.toml
	$(COMPILE) --constraint requirements/dev.txt --extra confluent --extra http \
	  --output-file requirements/image.txt pyproject.toml
	$(COMPILE) --constraint requirements/dev.txt --output-file requirements/core.txt pyproject.toml requirements/build.in
	$(COMPILE) --constraint requirements/dev.txt --output-file requirements/build.txt requirements/build.in

.PHONY: clean
clean: ## Remove what builds and tools left (not .venv)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
