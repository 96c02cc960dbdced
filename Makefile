# Every target sets itself up. VENV, PYTHON and WORKERS (tests at a time that mostly wait) may be given: make test VENV=/some/venv
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 4
EXAMPLE ?= btc
MODELS_btc = -f manifests/examples/btc/xgboost.yaml -f manifests/examples/btc/lightgbm.yaml
MODELS_sp500 = -f manifests/examples/sp500/model.yaml
MODELS_ensembles = $(patsubst %,-f manifests/examples/ensembles/%.yaml,xgboost lightgbm nhits patchtst)
TABLES_sp500 = --table sp500_samples --predictions-table sp500_predictions
TABLES_ensembles = $(TABLES_sp500)
SPAN_sp500 = --from 1995-01-01
SPAN_ensembles = --from 2019-01-01
DATA_ensembles = sp500
REPLAY_btc = $(BIN)/perennial
REPLAY_sp500 = $(REPLAY_btc)
REPLAY_ensembles = $(BIN)/python -m tests.neural.environment -m perennial
BIN = $(VENV)/bin
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	--custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup lint format crds lock test unit neural integration e2e e2e-full replay demo bench simulate cluster-up cluster-down images

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(VENV)/.installed ## the virtual environment with the locked libraries and this project, editable

$(VENV)/.installed: pyproject.toml requirements-dev.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8,<1'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --requirements requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

lint: setup ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m perennial.api.crd --check manifests/crds
	$(BIN)/python -m perennial.replay.schema --check docs/replay-report.schema.json

format: setup ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

crds: setup ## manifests/crds, and the schema of a replay's report, from the pydantic models
	$(BIN)/python -m perennial.api.crd manifests/crds
	$(BIN)/python -m perennial.replay.schema docs/replay-report.schema.json

lock: $(VENV)/.installed ## resolve every lock file anew; all of them hold the same versions
	$(COMPILE) pyproject.toml --extra dev -o requirements-dev.lock
	$(COMPILE) pyproject.toml --extra operator -c requirements-dev.lock -o operator/requirements.lock
	$(COMPILE) pyproject.toml -c requirements-dev.lock -o trainer_image/shared.lock trainer_image/shared.in
	for part in trainer server; do \
	  $(COMPILE) pyproject.toml --extra $$part -c requirements-dev.lock -o trainer_image/$$part.lock \
	    $$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' trainer_image/shared.lock) || exit 1; \
	done
	# torch has a lock of its own (the wheel for the CPU); what PyPI's would bring for GPUs is left out
	$(COMPILE) pyproject.toml --extra trainer --extra neural -c requirements-dev.lock --no-emit-package torch \
	  $$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' trainer_image/shared.lock trainer_image/trainer.lock) \
	  | awk '/^[a-z]/ {gpu = /^(cuda|nvidia|triton)/} !gpu' >trainer_image/trainer-neural.lock

test: unit integration ## what needs no node: minutes

unit: setup ## pure and fast
	$(BIN)/pytest tests/unit -n auto

neural: setup ## the neural models, in a cached environment with torch
	$(BIN)/python -m tests.neural -n 2

integration: setup ## a real PostgreSQL and a real API server, started by the tests
	$(BIN)/pytest tests/integration -n $(WORKERS) --dist loadfile

e2e: setup ## the loop on a real cluster with real images
	$(BIN)/pytest tests/e2e -n $(WORKERS)

e2e-full: e2e ## the same: no scenario takes longer than CI has time for

replay: setup ## a policy over real history, with no cluster: EXAMPLE=btc (2017 to 2019), sp500 (1995 to 2022), ensembles (2019 to 2022)
	@mkdir -p build
	@rm -f build/$(EXAMPLE).db
	$(BIN)/perennial example $(or $(DATA_$(EXAMPLE)),$(EXAMPLE)) --load --url sqlite:///build/$(EXAMPLE).db $(TABLES_$(EXAMPLE))
	$(REPLAY_$(EXAMPLE)) replay $(MODELS_$(EXAMPLE)) -f manifests/examples/replay/$(EXAMPLE)-policy.yaml \
	  --samples sqlite:///build/$(EXAMPLE).db $(SPAN_$(EXAMPLE)) --out build/replay-$(EXAMPLE)

demo: setup ## the loop on real market data, in a live table
	$(BIN)/python -m tests.demo

bench: setup ## measures trainer, server, operator and drift; writes tests/bench/RESULTS.md
	$(BIN)/python -m tests.bench

simulate: setup ## whether the promised error rates hold; fails where one does not; writes tests/bench/EVIDENCE.md
	$(BIN)/python -m tests.simulate

cluster-up: setup ## a cluster for tests ($KUBECONFIG, kind, or one made of Debian's packages)
	$(BIN)/python -m tests.cluster up

images: cluster-up ## build the images and load them into that cluster
	$(BIN)/python -m tests.cluster images

cluster-down: setup ## stop the test cluster
	$(BIN)/python -m tests.cluster down
