# Everything a developer or a new user runs. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
export TZ := UTC

.PHONY: help setup demo test faults drill lint types bench lock up clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/installed ## create .venv with the locked packages

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11 to 3.13 is needed; name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot create environments; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## make a day of telemetry, run the pipeline, show the answers
	$(BIN)/opsmeter demo

up: setup ## start the Dagster UI, the daemon and the page
	$(BIN)/opsmeter up

test: setup lint ## everything that must hold; what CI runs
	$(BIN)/python -m pytest

faults: setup ## 200 kills at random moments and other faults, 15 minutes
	FAULT_KILLS=200 $(BIN)/python -m pytest tests/faults \
	  tests/pipeline/test_replay_commands.py --dist=load

drill: setup ## every drill with the real daemon, and one that must fail, ten minutes
	$(BIN)/opsmeter drill all
	DRILLS=all $(BIN)/python -m pytest tests/pipeline/test_drill.py -n0 -k not_detected

lint: setup types ## style, types and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: setup ## the types of all but the tests, strictly
	$(BIN)/basedpyright

bench: setup ## the whole job against a hand-written DuckDB script
	$(BIN)/python -m benchmarks.job.run

lock: ## pin all packages anew, with hashes and without any index address
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --python-version 3.11 pyproject.toml --extra dev \
	  --output-file requirements.lock

clean: ## remove what was built here, the demo's home included
	rm -rf $(VENV) .opsmeter .pytest_cache .ruff_cache
