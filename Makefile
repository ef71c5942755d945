# One way to do each thing. Works with GNU make from 3.81 on; needs Python 3.11 or newer and nothing else
# (tests on Apache Kafka itself also want a JDK 17 or newer and Maven; up and down want Docker).

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The newest suitable Python on the PATH; name another with: make install PYTHON=/path/to/python
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# More arguments for demo, test, mutants and bench: make test ARGS="-k offsets"
ARGS ?=

# How long make outage lasts, and the seed of its faults (drawn anew unless given).
OUTAGE_SECONDS ?= 300
OUTAGE_SEED ?=

# How long make soak lasts, and the seed of its troubles (drawn anew unless given).
MINUTES ?= 10
SOAK_SEED ?=

# What make simulate runs: one seed, with all that happens in it, or as many as SEEDS from FROM on.
SEED ?=
SEEDS ?= 1000
FROM ?= 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install demo test faults outage soak simulate mutants check lint format bench docs lock up down clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## set up .venv with the pinned packages and the connector

$(STAMP): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer on the PATH: install one, or name it: make install PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: install ## run the whole way on this machine: Kafka, Edge and connector, faults included
	$(BIN)/python -m connector.local.demo $(ARGS)

test: install ## run all tests (on Apache Kafka itself where a JDK and Maven are there)
	$(BIN)/python -m pytest $(ARGS)

faults: install ## every fault that one machine can play, on Kafka, the long ones too: lost 0
	$(BIN)/python -m pytest -m "long or not long" tests/faults $(ARGS)

outage: install ## minutes of every fault at once on Kafka: lost 0; see OUTAGE_SECONDS and OUTAGE_SEED
	OUTAGE_SECONDS=$(OUTAGE_SECONDS) OUTAGE_SEED=$(OUTAGE_SEED) \
		$(BIN)/python -m pytest -q -s tests/faults/test_outage.py $(ARGS)

soak: install ## random troubles from a printed seed, for MINUTES=..., and the ledger: lost 0
	SOAK_MINUTES=$(MINUTES) SOAK_SEED=$(SOAK_SEED) \
		$(BIN)/python -m pytest -q -s -m "long or not long" tests/faults/test_soak.py $(ARGS)

simulate: install ## seeded runs of the whole pipeline under a virtual clock; see SEED, or SEEDS and FROM
	$(BIN)/python -m tests.simulation $(if $(SEED),$(SEED),$(FROM) --count $(SEEDS))

mutants: install ## break one rule after another, and see that a test fails for each; see ARGS=--help
	$(BIN)/python -m tests.mutants $(ARGS)

check: lint test ## all that CI runs: lint, types, tests (they also keep the generated docs current)

lint: install ## ruff's rules and format, mypy's types
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: install ## let ruff format and mend what it can
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

bench: install ## events/s and CPU per event on Apache Kafka; see ARGS=--help
	$(BIN)/python -m tests.bench $(ARGS)

docs: install ## write the generated references and the JSON Schema anew
	$(BIN)/python -m connector.config.reference
	$(BIN)/python -m connector.docs

lock: install ## resolve the pinned packages anew (newer versions: make lock ARGS=--upgrade)
	$(BIN)/python -m venv .cache/uv
	.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check uv
	.cache/uv/bin/uv pip compile pyproject.toml --group dev --group build --output-file requirements.lock $(RESOLVE) $(ARGS)
	.cache/uv/bin/uv pip compile pyproject.toml --constraints requirements.lock --output-file config/docker/requirements.lock $(RESOLVE)

RESOLVE := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

up: ## start Kafka, a local Edge and the connector with Docker
	docker compose up --build --detach --wait

down: ## stop what up started and delete its data
	docker compose down --volumes

clean: ## delete everything that make and the tools have made
	rm -rf $(VENV) .cache .demo dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
