# Two commands are all a newcomer needs: `make demo` and `make test`.
# They need Python >= 3.11 and make; everything else goes into .venv, at the versions of constraints.txt.

PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
BIN := $(VENV)/bin
RUNS ?= runs

.PHONY: demo test test-unit test-slow lint format install install-dev docs bench-prepare bench-train bench-eval bench-diagnose bench-diagnose-simulated bench-diagnose-speed clean

demo: install ## the whole pipeline on the bundled starter
	$(BIN)/lorascope demo --out $(RUNS)/demo --overwrite

test: install-dev ## the suite, without the marks slow, gpu and network
	$(BIN)/python -m pytest -m "not slow and not gpu and not network" -n 2 --dist loadgroup

test-unit: install-dev ## under a minute: what needs no server, no second process and no whole stage
	$(BIN)/python -m pytest -m "not end_to_end and not slow and not gpu and not network" -n 2 --dist loadgroup

test-slow: install-dev ## the long ones
	$(BIN)/python -m pytest -m "slow and not gpu and not network"

lint: install-dev ## format, style, types, layers
	$(BIN)/ruff format --check src tests examples benchmarks
	$(BIN)/ruff check src tests examples benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

docs: install-dev ## rewrites the pages made from code; with CHECK=1 fails where one is stale
	$(BIN)/python docs/generate.py $(if $(CHECK),--check)

bench-prepare: install-dev ## prepare at a million rows, beside TRL and datasketch; writes docs/benchmarks/prepare.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python benchmarks/prepare.py

bench-train: install-dev $(BENCH_VENV)/.installed ## training steps beside TRL and transformers, at most 40 minutes; LORASCOPE_DATA names the data
	$(BIN)/python benchmarks/train --peers $(BENCH_VENV)/bin/python

$(BENCH_VENV)/.installed: benchmarks/train/requirements.txt
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/train/requirements.txt
	touch $@

bench-eval: install-dev ## evaluation beside padded batches with all logits, some 10 minutes; writes docs/benchmarks/eval.md
	$(BIN)/python benchmarks/eval.py

bench-diagnose: install-dev $(BENCH_VENV)-diagnose/.installed ## planted faults and healthy runs through diagnose, at most 60 minutes; writes its tables into docs/diagnose.md
	$(BIN)/python benchmarks/diagnose --peers $(BENCH_VENV)-diagnose/bin

$(BENCH_VENV)-diagnose/.installed: benchmarks/diagnose/requirements.txt
	test -x $(BENCH_VENV)-diagnose/bin/python || $(PYTHON) -m venv $(BENCH_VENV)-diagnose
	$(BENCH_VENV)-diagnose/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/diagnose/requirements.txt
	touch $@

bench-diagnose-simulated: install-dev ## rules on simulated runs whose truth is known, some minutes; writes its tables into docs/diagnose.md
	PYTHONPATH=tests/diagnose $(BIN)/python benchmarks/diagnose/simulated.py

bench-diagnose-speed: install-dev ## diagnose on a million lines, and what watching costs a training; prints its figures
	$(BIN)/python benchmarks/diagnose/speed.py

format: install-dev
	$(BIN)/ruff format src tests examples benchmarks
	$(BIN)/ruff check --fix src tests examples benchmarks

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lorascope needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train]"
	touch $@

install-dev: $(VENV)/.installed-dev

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
