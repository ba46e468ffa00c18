# make demo: install, then inspect, fine-tune and evaluate on bundled data with the embedded model.
# make test: install, then linters, types, import contracts and the whole test suite.
# make coverage: which lines tests reach; it takes half as long again, and is no part of make test.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SAY := @printf '\n== %s\n'
SPREAD := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

.PHONY: demo test coverage lint clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

$(BIN)/python:
	$(SAY) "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(SAY) "installing hone and what it needs to train (a minute or two, once)"
	@$(PIP) install -q -c constraints.txt -e '.[train]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(SAY) "installing hone and what its tests need (a few minutes, once)"
	@$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(SAY) "hone run recipes/quickstart.yaml"
	@$(BIN)/hone run recipes/quickstart.yaml --out runs/quickstart

lint: $(VENV)/.test
	$(SAY) "ruff, mypy, import contracts"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-timestamps 2>/dev/null || $(BIN)/lint-imports

test: lint
	$(SAY) "the test suite"
	@$(BIN)/python -m pytest $(SPREAD)

coverage: $(VENV)/.test
	$(SAY) "which lines unit tests, journeys and the service reach: 90% at least"
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest $(SPREAD) --cov --cov-report=term tests/unit tests/journeys tests/service

clean:
	rm -rf $(VENV) runs .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache
