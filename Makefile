# Commands for developers. `make` without a target lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo serve scan test check fix bench train train-smoke migrate docs fuzz fuzz-clips migration lock
SHELL := /bin/bash

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip
INSTALL := $(UV) install --quiet --no-deps --require-hashes --compile-bytecode
# A full installation (dev) contains everything that the demo needs.
DEMO_READY := $(if $(wildcard .venv/dev.stamp),.venv/dev.stamp,.venv/demo.stamp)
SAMPLE := .data/sample.mp4
BLENDED := .data/sample-self-blended.mp4
EXTRAS := api worker gpu training demo dev

help:  ## List all targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: .venv/dev.stamp  ## Install everything into .venv
	@$(BIN)/python -m tests.tools.system_libraries || true

demo: $(DEMO_READY)  ## Start the service, analyze a clip and a self-blended copy over HTTP, stop it (CLIP=path: your own clip)
	@$(BIN)/python -m tests.tools.system_libraries
	@$(if $(CLIP),,$(BIN)/python -m tests.support.clips $(SAMPLE) $(BLENDED))
	$(BIN)/unmask demo $(or $(CLIP),$(SAMPLE) $(BLENDED))

serve: $(DEMO_READY)  ## Run the service on this machine until Ctrl-C
	$(BIN)/unmask serve

scan: $(DEMO_READY)  ## Analyze a clip with the running service (CLIP=path)
	$(BIN)/unmask scan $(or $(CLIP),$(error Name a clip: make scan CLIP=path))

test: setup  ## Run all tests
	$(BIN)/pytest

check: setup  ## Check style, types, import contracts and Dockerfiles
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile Dockerfile.gpu

fix: setup  ## Format the code and fix what the linter can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup  ## Time the pipeline against a naive one on 10 s, 1 min and 10 min of 1080p (CLIP=path: your own clip)
	$(BIN)/python -m tests.tools.bench .data/bench $(CLIP)

train: setup  ## Train a model, or continue an interrupted run (CONFIG=yaml OUT=folder ARGS='frames.steps=100')
	$(BIN)/python -m training train --config $(or $(CONFIG),$(error Name a configuration: make train CONFIG=training/configs/unmask-b3.yaml OUT=runs/a)) --out $(or $(OUT),$(error Name a folder: OUT=runs/a)) $(ARGS)

train-smoke: setup  ## Test the whole chain in small: videos, training, release, a job that uses the model
	$(BIN)/pytest -n 1 tests/e2e/test_training.py

migrate: setup  ## Migrate the database of UNMASK_DATABASE_URL to the newest schema
	$(BIN)/unmask migrate

docs: setup  ## Generate the OpenAPI file, docs/reference/{settings,cli}.md and .env.example
	$(BIN)/python -m tests.tools.settings_reference
	$(BIN)/python -m tests.tools.cli_reference
	$(BIN)/unmask openapi > app/api/reference/openapi.json.new
	mv app/api/reference/openapi.json.new app/api/reference/openapi.json

fuzz: setup  ## Fuzz the API against its OpenAPI file, about ten minutes
	UNMASK_FUZZ_EXAMPLES=300 $(BIN)/python -m pytest -n 0 tests/e2e/test_contract.py

fuzz-clips: setup  ## Mutate clips and decode them in the sandbox (SECONDS=600)
	$(BIN)/python -m tests.tools.fuzz_clips $(or $(SECONDS),600)

migration: setup  ## Write a migration from the tables (NAME=what_changes)
	$(BIN)/python -m tests.tools.new_migration $(or $(NAME),$(error Name the change: make migration NAME=what_changes))

# The demo uses an image of scikit-image and none of its code. The dependencies of that code would add 170 MB.
lock: .venv/bin/uv  ## Resolve and lock all versions, with hashes
	cd requirements && ../$(UV) compile --quiet --universal --generate-hashes bootstrap.in -o bootstrap.lock
	@for extra in dev $(filter-out dev,$(EXTRAS)); do \
	  echo "requirements/$$extra.lock"; \
	  constraint=$$([ $$extra = dev ] || echo "--constraint requirements/dev.lock"); \
	  unneeded=$$([ $$extra != demo ] || echo "--no-emit-package scipy --no-emit-package networkx --no-emit-package imageio --no-emit-package tifffile"); \
	  $(UV) compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-package unmask $$unneeded \
	    --extra $$extra $$constraint pyproject.toml requirements/build.in -o requirements/$$extra.lock || exit 1; \
	done

.venv/bin/uv: requirements/bootstrap.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@touch $@

.venv/%.stamp: requirements/%.lock pyproject.toml | .venv/bin/uv
	$(INSTALL) -r $<
	$(UV) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
