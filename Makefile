# `make serve` and `make test` do all of the set-up, from a fresh clone, with only Python 3.11+, pip and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
TORCH := .venv-torch
ARGS ?=

.PHONY: serve demo test check fuzz lint types bench bench-peers digits-clip soak pull lock clean help

help:            ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/'

serve: $(VENV)/core weights   ## start the server on embedded models; ARGS="--port 9000" passes arguments on
	@exec $(BIN)/trivet serve $(ARGS)

demo: $(VENV)/dev              ## every task with embedded weights, in one table; ARGS=--accept-license for speech too
	@$(BIN)/trivet demo $(ARGS)

test: $(VENV)/dev weights     ## the tests
	$(BIN)/python -m pytest $(ARGS)

check: lint types test        ## what CI runs: lint, format, types, tests

fuzz: $(VENV)/dev weights     ## the property tests with 2,000 fresh examples each
	TRIVET_TEST_PROFILE=fuzz $(BIN)/python -m pytest -m hypothesis $(ARGS)

lint: $(VENV)/dev             ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev            ## mypy, strict
	$(BIN)/mypy

bench: $(VENV)/dev $(TORCH)/bin/trivet weights    ## measure, beside what is built on torch too, and write benchmarks/results.md
	$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(VENV)/dev $(PEERS)/bin/litellm    ## measure all that counts beside LiteLLM's proxy, installed apart
	$(BIN)/python -m benchmarks counted $(ARGS)

digits-clip: $(TORCH)/bin/trivet    ## train a tiny CLIP on digits (needs torch), and classify others with it
	$(TORCH)/bin/python examples/digits_clip.py $(ARGS)

soak: $(VENV)/dev             ## 200,000 requests with faults, looking for leaks; ARGS="--requests 5000" for fewer
	$(BIN)/python -m benchmarks.soak $(ARGS)

weights: $(VENV)/core         # the embedded weights; quick when they are there
	@$(BIN)/trivet pull --quiet

# pip alone, from a lock file with hashes. The dev set contains the core set.
$(VENV)/core: requirements/core.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "trivet needs Python 3.11 or newer; this is %d.%d. Try: make PYTHON=python3.12" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/core.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/dev: requirements/dev.txt $(VENV)/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

# The newest, in an environment of its own: what is measured against is no part of trivet.
$(PEERS)/bin/litellm:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check "litellm[proxy]"

# torch and what is built on it: to train, and to be measured against. Never in the environment of the tests.
$(TORCH)/bin/trivet:
	$(PYTHON) -m venv $(TORCH)
	$(TORCH)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 sentence-transformers
	$(TORCH)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[images,onnx,train]"

lock: $(VENV)/dev             ## write the lock files anew (needs uv: pip install uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml requirements/build.in -o requirements/core.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group dev pyproject.toml -o requirements/dev.txt

clean:           ## remove what set-up made
	rm -rf $(VENV) $(PEERS) $(TORCH)
