# Bonafide's vocabulary of tasks, for people, hooks and CI. `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := src components pipelines tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help setup setup-drift demo demo-canary demo-loop test test-e2e lint docs docs-serve compile repro seeds bench-canary bench-commands bench-drift bench-intervals bench-pipeline bench-rows bench-serving bench-splits bench-store pictures lock clean

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.dev $(VENV)/.drift ## Install everything, for work on the code

setup-drift: $(VENV)/.drift ## Install the drift detectors in an environment of their own, .venv-drift

demo: $(VENV)/.pipelines ## From data to a gated, signed, served model (TASK=name, DATA=folder or file of your own)
	@$(BIN)/bonafide demo $(if $(DATA),"$(DATA)") $(if $(TASK),--task "$(TASK)") $(ARGS)

demo-canary: $(VENV)/.pipelines ## A good version climbs, a slow one is rolled back; after make demo
	@$(BIN)/bonafide demo-canary $(if $(TASK),--task "$(TASK)") $(ARGS)

demo-loop: $(VENV)/.pipelines $(VENV)/.drift ## Drift is found, an alert starts training, the new version takes over; after make demo
	@$(BIN)/bonafide demo-loop $(ARGS)

test: $(VENV)/.dev ## The tests (under 10 minutes on 2 cores)
	@$(BIN)/pytest -m "not e2e" -n 2 $(ARGS)

test-e2e: $(VENV)/.dev ## The long tests: the whole loop, kills, DVC against the pipeline
	@$(BIN)/pytest -m e2e --ignore tests/e2e/test_every_task.py $(ARGS)
	@$(BIN)/pytest -m e2e -n 2 tests/e2e/test_every_task.py $(ARGS)

lint: $(VENV)/.dev ## Style, types, layers, manifests, freshness of generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict argocd infra kserve
	$(BIN)/bonafide pipeline compile --check

docs: $(VENV)/.dev ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: $(VENV)/.dev ## Read the documentation while writing it
	$(BIN)/mkdocs serve

compile: $(VENV)/.pipelines ## Compile the pipelines for Kubeflow and Vertex AI
	$(BIN)/bonafide pipeline compile

repro: $(VENV)/.pipelines ## The same steps by DVC: dvc repro
	@$(BIN)/bonafide registry check
	@PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro $(ARGS)

seeds: $(VENV)/.pipelines ## Train and judge with three seeds; writes docs/benchmarks/results.md
	$(BIN)/python -m benchmarks.seeds

bench-serving: $(VENV)/.pipelines ## Servers against each other and the bare loop; writes docs/benchmarks/serving.md
	$(BIN)/python -m benchmarks.serving $(ARGS)

bench-rows: $(VENV)/.pipelines ## Rows of a table, answered here and by MLServer; writes docs/benchmarks/rows.md
	$(BIN)/python -m benchmarks.rows $(ARGS)

bench-pipeline: $(VENV)/.pipelines ## Orchestrated run against the same library calls; writes docs/benchmarks/pipeline.md
	$(BIN)/python -m benchmarks.pipeline

bench-canary: $(VENV)/.pipelines ## Simulated canaries, judged here and by others' rules; writes docs/benchmarks/canary.md
	$(BIN)/python -m benchmarks.canary $(ARGS)

bench-commands: $(VENV)/.pipelines ## How long commands take to answer; writes docs/benchmarks/commands.md
	$(BIN)/python -m benchmarks.commands

bench-drift: $(VENV)/.pipelines $(VENV)/.drift ## How often drift is found and how often wrongly; writes docs/benchmarks/drift.md; after make demo
	$(BIN)/python -m benchmarks.drift $(ARGS)

bench-intervals: $(VENV)/.pipelines ## How often intervals hold the truth, simulated; writes docs/benchmarks/intervals.md
	$(BIN)/python -m benchmarks.intervals

pictures: $(VENV)/.dev ## Make docs/images anew from a finished demo; needs Chromium
	$(BIN)/python -m docs.pictures

bench-splits: $(VENV)/.pipelines ## How far splits move and how even they are; writes docs/benchmarks/splits.md
	$(BIN)/python -m benchmarks.splits

bench-store: $(VENV)/.pipelines ## What it costs to store predictions; writes docs/benchmarks/store.md
	$(BIN)/python -m benchmarks.store $(ARGS)

lock: $(VENV)/.dev ## Renew the lock files of the three environments
	PATH="$(CURDIR)/$(BIN):$$PATH" locks/compile main.txt pyproject.toml --extra dev --upgrade
	PATH="$(CURDIR)/$(BIN):$$PATH" locks/compile serving.txt pyproject.toml --extra serve --constraint locks/main.txt
	PATH="$(CURDIR)/$(BIN):$$PATH" locks/compile drift.txt images/drift/requirements.in --upgrade

clean: ## Remove the environment and all state
	rm -rf $(VENV) $(DRIFT_VENV) .bonafide site

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Bonafide needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian: apt install python3-venv"; exit 2; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=24'  # Debian 12's 23.0 backtracks for ever

$(VENV)/.pipelines: $(VENV)/bin/python pyproject.toml locks/main.txt
	@echo "Installing the locked packages into $(VENV): some minutes and 3 GB the first time"
	@$(BIN)/pip install --disable-pip-version-check -c locks/main.txt -e ".[pipelines,pretrained]"
	@touch $@

# Where bonafide.drift looks for it: beside the environment that it runs in itself.
DRIFT_VENV := $(dir $(abspath $(VENV))).venv-drift

$(VENV)/.drift: $(VENV)/bin/python images/drift/requirements.in locks/drift.txt
	@echo "Installing the drift detectors into $(DRIFT_VENV): some minutes and 2 GB the first time"
	@$(BIN)/python -m venv $(DRIFT_VENV)
	@$(DRIFT_VENV)/bin/pip install --quiet --disable-pip-version-check --upgrade 'pip>=24'
	@$(DRIFT_VENV)/bin/pip install --disable-pip-version-check -c locks/drift.txt -r images/drift/requirements.in
	@touch $@

$(VENV)/.dev: $(VENV)/.pipelines
	@echo "Installing what tests and documentation need"
	@$(BIN)/pip install --disable-pip-version-check -c locks/main.txt -e ".[dev]"
	@touch $@
