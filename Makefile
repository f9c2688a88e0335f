# make up    set everything up and run the main job: a training run on a cloud of this machine's own
# make test  set everything up and pass the tests
# make down  give everything back; the artefacts stay in .local/s3 until `make purge`
.DEFAULT_GOAL := help
.PHONY: help setup up down purge test lint types check-tests test-official bench campaign \
  campaign-engine lock image-files
python := .venv/bin/python

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## Make the locked Python environment (.venv)
	@./setup.sh

up: setup ## Rehearse: start the local cloud, `pulumi up` stack dev, follow the run to its verdict
	@$(python) -m localcloud.main_job up

down: setup ## Destroy stack dev and stop the local cloud; what was trained is kept
	@$(python) -m localcloud.main_job down

purge: setup ## Stop all of this checkout's clouds, delete what they kept: bucket, state, ports
	@$(python) -m localcloud.main_job purge

test: setup lint types check-tests ## Lint, types, and every test with coverage

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .

types: setup
	@.venv/bin/pyright

check-tests: setup
	@$(python) -m localcloud.pulumi.engine install
	@$(python) -m pytest -n 2 --dist loadgroup --cov --cov-report=term $(PYTEST_ARGS)

test-official: setup ## Run the tests of the whole line with the provider plugins in PROVIDERS=folder
	@$(python) -m tests.e2e.official "$(PROVIDERS)" $(PYTEST_ARGS)

bench: setup ## Measure, side by side in one run; BENCH_ARGS=--cold also builds the tools anew
	@$(python) -m benchmarks $(BENCH_ARGS)

campaign: setup ## Lose real machines at 26 moments, plant 22 faults: 35 min; ONLY=name plays one
	@CAMPAIGN=$(or $(ONLY),all) $(python) -m pytest tests/campaign -q -s $(PYTEST_ARGS)

campaign-engine: setup ## Plant faults between the real engine and its vendors; N=stories SEED= KIND=
	@$(python) -m localcloud.pulumi.engine install
	@$(python) -m tests.campaign_engine $(if $(N),--stories $(N)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(KIND),--kind $(KIND)) $(CAMPAIGN_ARGS)

image-files: setup ## Name anew which files the image has: those of container/ that git tracks
	@$(python) -m tests.image_files

lock: setup ## Resolve requirements.lock anew from pyproject.toml
	@uv=$$(./setup.sh uv) && "$$uv" pip compile --quiet --upgrade --generate-hashes --no-annotate \
	  --no-header --no-emit-index-url --python-version 3.11 --group pyproject.toml:localcloud \
	  --group pyproject.toml:dev pyproject.toml -o requirements.lock
