# Everything runs in .venv, built from the hashed locks in requirements/. Needs python3 (3.11 or newer, with pip and venv) and nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8000
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

run: .venv/run.done ## start the depot, the reference backend, on http://127.0.0.1:$(PORT)
	@PORT=$(PORT) exec $(BIN)/holdfast run depot.app:app

test: .venv/test.done ## run every test
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not long" -rs

test-long: .venv/test.done ## run the tests that take minutes
	$(BIN)/python -m pytest -m long --timeout 3600
	$(BIN)/python bench/overload_lasting.py

test-peers: .venv/test.done build/peers/installed ## uploads by clients from elsewhere; wants Node, npm, chromium, a checkout in TUS_JAVA_SERVER
	PEERS=build/peers TUS_JAVA_SERVER=$(TUS_JAVA_SERVER) $(BIN)/python -m pytest tests/peers/peers_node.py tests/peers/peers_uppy.py tests/peers/peers_conformity.py -rsP

check: .venv/test.done ## lint, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	PYTHONPATH=src:$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path(\"purelib\"))") $(BIN)/basedpyright --verifytypes holdfast --ignoreexternal | tail -n 30
	$(BIN)/python -m pytest tests/test_house.py

bench: .venv/bench.done ## measure what Holdfast costs, beside what people use today
	$(BIN)/python bench/request_cost.py

bench-uploads: .venv/bench.done ## measure what uploads cost, beside what people use today
	$(BIN)/python bench/uploads.py

sim: .venv/run.done ## run the rules of overload in virtual time, and judge them
	$(BIN)/python -m holdfast.sim

bench-exports: .venv/bench.done ## measure what exports cost, beside what people use today
	$(BIN)/python bench/exports.py

bench-overload: .venv/bench.done ## measure what happens past capacity, beside what people use today
	$(BIN)/python bench/overload.py

prove: .venv/test.done build/twin/installed ## break the depot on purpose, and its twin, and say what held
	$(BIN)/python bench/prove.py

mutants: .venv/test.done ## plant small faults into the depot, one each, and see whether `holdfast prove` finds them
	$(BIN)/python bench/mutants.py

docs: .venv/test.done ## write the generated tables into the documentation
	$(BIN)/python docs/tables.py

pictures: .venv/test.done ## take the pictures of the depot's pages anew; wants chromium
	$(BIN)/python docs/screenshots.py

setup: .venv/test.done ## build .venv whole

lock: .venv/run.done ## write the locks in requirements/ anew
	cd requirements && ./lock

clean: ## remove .venv and what tests left
	rm -rf .venv build dist .ruff_cache .hypothesis

.venv/bin/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Holdfast needs Python 3.11 or newer; make PYTHON=python3.12 names another one")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

.venv/run.done: .venv/bin/uv requirements/run.txt pyproject.toml depot/pyproject.toml
	@echo "building .venv (once, under a minute) ..."
	@$(UV) --require-hashes -r requirements/run.txt
	@$(UV) --no-deps --no-build-isolation --offline -e . -e depot
	@touch $@

.venv/test.done: .venv/run.done requirements/test.txt
	@echo "adding what the tests need ..."
	@$(UV) --require-hashes -r requirements/test.txt
	@touch $@

.venv/bench.done: .venv/test.done requirements/bench.txt
	@$(UV) --require-hashes -r requirements/bench.txt
	@touch $@

build/twin/installed: .venv/bin/uv requirements/twin.txt
	@test -x build/twin/bin/python || $(PYTHON) -m venv build/twin
	@$(BIN)/uv pip install --quiet --python build/twin/bin/python --require-hashes -r requirements/twin.txt
	@touch $@

build/peers/installed: tests/peers/node/package.json tests/peers/node/package-lock.json
	@mkdir -p build/peers
	@cp $^ build/peers
	@cd build/peers && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: help run test test-long test-peers check bench bench-uploads bench-exports bench-overload sim prove mutants docs pictures setup lock clean
