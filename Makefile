# `make` lists the targets. Needed: Python 3.11, make and a package index; docker for the image.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= source-stripe
DOCKER ?= docker
# More arguments for what a target runs: `make test ARGS='-k resumes -x'`.
ARGS ?=
# Twice quiet: pip warns of every index of this machine that lacks a package.
PIP_QUIETLY := -m pip --disable-pip-version-check -qq
PIP := $(BIN)/python $(PIP_QUIETLY)
# A lock is whole. Were pip to look for dependencies too, it would take the newest of a package that is asked for with extras.
INSTALL_LOCKED := install --no-deps --require-hashes -r
PYTEST := $(BIN)/python -m pytest

# `make stream` is told the path of a list, in the variable that says where programs are.
ifeq ($(origin PATH),command line)
LIST := $(PATH)
override PATH := /usr/local/bin:/usr/bin:/bin
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test thorough pyairbyte-test lint bench build image image-test image-sizes lock schemas stream clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed ## make .venv with the locked packages and this connector

.venv/installed: requirements-dev.lock pyproject.toml
	@echo "Setting up .venv (once; a minute or two)"
	$(PYTHON) -m venv .venv
	$(PIP) $(INSTALL_LOCKED) requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(PIP) check
	@touch $@

demo: setup ## read all 14 streams of an embedded Stripe account
	$(BIN)/python -m integration_tests.demo $(ARGS)

test: setup ## run all tests but the image's and the thorough ones
	$(PYTEST) -n 2 $(ARGS)

thorough: setup ## run the long property and fault tests
	$(PYTEST) -n 2 -m thorough --timeout 1800 $(ARGS)

pyairbyte-test: setup .venv-pyairbyte/installed ## sync twice with PyAirbyte into DuckDB, and ask in SQL
	$(PYTEST) -m pyairbyte integration_tests/test_pyairbyte.py $(ARGS)

.venv-pyairbyte/installed: integration_tests/pyairbyte/requirements.lock
	@echo "Setting up .venv-pyairbyte (once; two minutes)"
	$(PYTHON) -m venv .venv-pyairbyte
	.venv-pyairbyte/bin/python $(PIP_QUIETLY) $(INSTALL_LOCKED) $<
	.venv-pyairbyte/bin/python $(PIP_QUIETLY) check
	@touch $@

lint: setup ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: setup ## measure against a hand-written loop and the CDK's stock parts
	$(BIN)/python -m tools.bench $(ARGS)

build: setup ## build the wheel and the source distribution into dist/
	rm -rf dist
	$(BIN)/python -m hatchling build

image: ## build the Docker image, tagged source-stripe
	$(DOCKER) build --network host --tag $(IMAGE) --tag $(IMAGE):$(VERSION) .

image-test: setup ## run the built image against an embedded Stripe account
	IMAGE=$(IMAGE) $(PYTEST) -m "image or image_tests" $(ARGS)

image-sizes: setup ## tell what the image's largest packages take
	$(BIN)/python -m tools.image_sizes $(IMAGE)

lock: setup ## resolve pyproject.toml's dependencies anew into the lock files
	$(BIN)/uv pip compile -q --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	$(BIN)/uv pip compile -q --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-strip-extras integration_tests/pyairbyte/requirements.in -o integration_tests/pyairbyte/requirements.lock

schemas: setup ## derive schemas/ and docs/schema/ anew: make schemas OPENAPI=path/to/openapi.json
	@test -n "$(OPENAPI)" || { echo "say which document: make schemas OPENAPI=path/to/openapi.json" >&2; exit 2; }
	$(BIN)/python -m tools.derive_schemas $(OPENAPI)
	$(BIN)/python -m tools.schema_pages

stream: setup ## add a stream: make stream PATH=/v1/tax_rates OPENAPI=path/to/openapi.json [STREAM=tax_rates]
	@test -n "$(LIST)" -a -n "$(OPENAPI)" || { echo "say which list, and where Stripe's document is: make help" >&2; exit 2; }
	$(BIN)/python -m tools.add_stream $(OPENAPI) $(LIST) $(if $(STREAM),--name $(STREAM))

clean: ## remove what the other targets made
	rm -rf .venv .venv-pyairbyte dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
