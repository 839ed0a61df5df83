# `make` lists the targets. Needed: Python, make and a package index; docker for the image. Which Python is used is told in
# tools/environment.sh; `make setup PYTHON=/path/to/python3` says another.
export PYTHON
# Of pyproject.toml's ">=3.11,<3.15": 11 15.
MINORS := $(shell sed -n 's/^requires-python = ">=3\.\([0-9]*\),<3\.\([0-9]*\)"/\1 \2/p' pyproject.toml)
BIN := .venv/bin
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= source-stripe
DOCKER ?= docker
# Of another machine: `make image PLATFORM=linux/amd64`.
PLATFORM =
SBOM ?= dist/sbom.cdx.json
MESSAGES ?= secrets/messages.jsonl
WAREHOUSE ?= secrets
# More arguments for what a target runs: `make test ARGS='-k resumes -x'`.
ARGS ?=
PYTEST := $(BIN)/python -m pytest
CHECK := .venv-tools/bin/check-jsonschema --builtin-schema
LOCK := $(BIN)/uv pip compile -q --upgrade --python-version 3.$(firstword $(MINORS)) --generate-hashes \
	--no-emit-index-url --no-header

# `make stream` is told the path of a list, in the variable that says where programs are.
ifeq ($(origin PATH),command line)
LIST := $(PATH)
override PATH := /usr/local/bin:/usr/bin:/bin
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test thorough pyairbyte-test spark-test install-test lint snapshots hooks workflows bench pictures warehouse build \
	image image-test image-sizes sbom lock schemas papers stream clean .venv-tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with the locked packages and this connector
	@sh tools/environment.sh .venv $(MINORS) requirements-dev.lock .

demo: setup ## read all streams of an embedded Stripe account
	$(BIN)/python -m integration_tests.demo $(ARGS)

test: setup ## run all tests but the image's and the thorough ones
	$(PYTEST) -n 3 --dist worksteal $(ARGS)

thorough: setup ## run the long property and fault tests
	$(PYTEST) -n 2 --dist worksteal -m thorough --timeout 1800 $(ARGS)

pyairbyte-test: setup ## sync twice with PyAirbyte into DuckDB, and ask in SQL
	@# There is no PyAirbyte for Python 3.13 yet.
	@sh tools/environment.sh .venv-pyairbyte 11 13 integration_tests/pyairbyte/requirements.lock
	$(PYTEST) -m pyairbyte integration_tests/test_pyairbyte.py $(ARGS)

spark-test: ## read with Spark, as tables and as a stream; needs Java
	@java -version >/dev/null 2>&1 || { echo "make spark-test needs Java 17 or later, and there is no java that runs. Debian has" \
		"it: apt-get install openjdk-17-jre-headless (Debian 12) or openjdk-21-jre-headless (Debian 13)" >&2; exit 2; }
	@sh tools/environment.sh .venv-spark $(MINORS) integration_tests/spark/requirements.lock .
	.venv-spark/bin/python -m pytest -m spark integration_tests/test_spark.py $(ARGS)

install-test: setup .venv-tools ## install the command as README says, with uv, pipx and pip
	$(PYTEST) -m install integration_tests/test_install.py $(ARGS)

lint: setup ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

snapshots: setup ## write anew what users see of spec and catalog: look at the difference, and tell it in CHANGELOG.md
	RENEW_SNAPSHOTS=1 $(PYTEST) -q unit_tests/test_source.py -k snapshot $(ARGS)

hooks: setup .venv-tools ## have git check each commit: no key, style, types, workflows
	.venv-tools/bin/pre-commit install

workflows: .venv-tools ## check what .github/ says
	.venv-tools/bin/zizmor --offline .github
	$(CHECK) vendor.github-workflows .github/workflows/*.yml
	$(CHECK) vendor.dependabot .github/dependabot.yml
	$(CHECK) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(CHECK) vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))

.venv-tools:
	@sh tools/environment.sh $@ $(MINORS) tools/requirements.lock

bench: setup ## measure against a hand-written loop and the CDK's stock parts
	$(BIN)/python -m tools.bench $(ARGS)

pictures: setup ## draw README's pictures of what was measured last, and of a read: docs/pictures/
	$(BIN)/python -m tools.pictures $(ARGS)

warehouse: setup ## put what was read into DuckDB and Parquet: secrets/messages.jsonl into secrets/
	$(BIN)/python -m tools.warehouse $(MESSAGES) --into $(WAREHOUSE)

build: setup ## build the wheel and the source distribution into dist/
	rm -rf dist
	$(BIN)/python -m hatchling build

image: ## build the Docker image, tagged source-stripe
	$(DOCKER) build $(addprefix --platform=,$(PLATFORM)) --network host --tag $(IMAGE) --tag $(IMAGE):$(VERSION) .

image-test: setup ## run the built image against an embedded Stripe account
	IMAGE=$(IMAGE) $(PYTEST) -m "image or image_tests" $(ARGS)

sbom: .venv-tools ## list what the built image adds to its base, with versions and licenses: dist/sbom.cdx.json
	@mkdir -p $(dir $(SBOM))
	.venv-tools/bin/python tools/sbom.py $(IMAGE) > $(SBOM)

image-sizes: setup ## tell what the image's largest packages take
	$(BIN)/python -m tools.image_sizes $(IMAGE)

lock: setup ## resolve the dependencies anew into the lock files, for every Python that is allowed
	$(LOCK) --universal pyproject.toml -o requirements.lock
	$(LOCK) --universal pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	$(LOCK) --universal tools/requirements.in -o tools/requirements.lock
	$(LOCK) --no-strip-extras integration_tests/pyairbyte/requirements.in \
		-o integration_tests/pyairbyte/requirements.lock
	$(LOCK) --universal pyproject.toml --extra spark integration_tests/spark/requirements.in -c requirements-dev.lock \
		-o integration_tests/spark/requirements.lock

schemas: setup ## derive schemas/ and the papers anew: make schemas OPENAPI=path/to/openapi.json
	@test -n "$(OPENAPI)" || { echo "say which document: make schemas OPENAPI=path/to/openapi.json" >&2; exit 2; }
	$(BIN)/python -m tools.derive_schemas $(OPENAPI)
	@$(MAKE) papers

papers: setup ## write docs/schema/ and what README and docs/ tell of the streams
	$(BIN)/python -m tools.schema_pages
	$(BIN)/python -m tools.papers

stream: setup ## add a stream: make stream PATH=/v1/tax_rates OPENAPI=path/to/openapi.json [STREAM=tax_rates]
	@test -n "$(LIST)" -a -n "$(OPENAPI)" || { echo "say which list, and where Stripe's document is: make help" >&2; exit 2; }
	$(BIN)/python -m tools.add_stream $(OPENAPI) "$(LIST)" $(if $(STREAM),--name $(STREAM))
	@$(MAKE) papers

clean: ## remove what the other targets made
	rm -rf .venv .venv-pyairbyte .venv-spark .venv-tools dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
