# Two commands on a machine with Python 3.11 or later, make and git:
#   make demo     an embedded PACS, and the main job done on it: query, filter, retrieve, volume, picture
#   make test     ruff, mypy and pytest
# The others: lab, docs, peers, benchmarks, growth, cohort, faults, soak, clean.
#   PYTHON=python3.12 make demo   chooses the interpreter.

PYTHON ?= python3
# The tests wait for peers and deadlines most of the time: several at once take less, also on two cores. Some of them
# are about seconds, and the others keep them waiting: what fails is run a second time, alone, and fails if it fails again.
WORKERS ?= 3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test lab docs peers benchmarks growth cohort faults soak clean

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: $(VENV)/.core
	@$(BIN)/python -m dicomlab.demo

test: $(VENV)/.dev
	@failed=; \
	echo ruff check; $(BIN)/ruff check . || failed="$$failed ruff"; \
	echo mypy; $(BIN)/mypy || failed="$$failed mypy"; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart 2; code=$$?; \
	if [ $$code = 1 ]; then echo "what failed among $(WORKERS) workers is run again, alone:"; \
	    $(BIN)/python -m pytest --last-failed --last-failed-no-failures none; code=$$?; fi; \
	[ $$code = 0 ] || failed="$$failed pytest"; \
	[ -z "$$failed" ] || { echo "make test failed in:$$failed"; exit 1; }

lab: $(VENV)/.lab
	$(BIN)/jupyter lab notebooks

# The notebooks are run while the pages are made; a warning is an error.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# DCMTK and Orthanc are the peers of tests/peers, Chromium runs the widgets; Debian's names.
peers:
	@command -v apt-get >/dev/null || { echo "make peers knows Debian's apt-get only: install dcmtk, orthanc, dicom3tools and chromium yourself."; exit 1; }
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    dcmtk orthanc openssl chromium fonts-dejavu-core dicom3tools

benchmarks: $(VENV)/.bench
	@$(BIN)/python -m benchmarks $(ROWS) --rounds $(or $(ROUNDS),3) $(if $(CHECK),--check,$(if $(ROWS),,--markdown docs/benchmarks.md))

growth: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.growth $(if $(INSTANCES),--instances $(INSTANCES),--markdown docs/growth.md)

cohort: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.cohort $(if $(SERIES),--series $(SERIES),--markdown docs/scale.md)

faults: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.faults $(FAULTS) $(if $(FAULTS),,--markdown docs/faults.md)

soak: $(VENV)/.dev $(VENV)/.fuzz
	$(BIN)/python -m pytest -m soak --timeout 7200

clean:
	rm -rf $(VENV) demo-output docs/_build docs/stories build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp says "installed since pyproject.toml last changed", so that a second run starts at once.
$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { \
	    echo "There is no $(PYTHON) here. dicomlab needs Python 3.11 or later:  make PYTHON=/path/to/python3 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "dicomlab needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	    echo "Name another one:  make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make a virtual environment: ensurepip is missing."; \
	    echo "On Debian and Ubuntu:  apt-get install python3-venv"; exit 1; }
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: pyproject.toml | $(VENV)/.made
	@echo "installing dicomlab and what it needs into $(VENV) (the first time takes about a minute) ..."
	@$(PIP) install -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	@echo "installing dicomlab and its developers' tools into $(VENV) ..."
	@$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/.core

# The fuzzer has no package for every machine; without it its tests are skipped, with that reason.
$(VENV)/.fuzz: $(VENV)/.dev
	@$(PIP) install -e '.[fuzz]' || echo "atheris cannot be installed here: the readers are not fuzzed."
	@touch $@

# Nor has every peer; those that are not installed are left out of the table, with that reason.
$(VENV)/.bench: $(VENV)/.dev
	@$(PIP) install -e '.[bench]' || echo "not every peer can be installed here: the table says which are left out."
	@touch $@

$(VENV)/.docs: pyproject.toml | $(VENV)/.made
	@echo "installing dicomlab and what its documentation is made with into $(VENV) ..."
	@$(PIP) install -e '.[docs,derived,netcdf]'
	@touch $@ $(VENV)/.core

$(VENV)/.lab: pyproject.toml | $(VENV)/.made
	@echo "installing dicomlab and JupyterLab into $(VENV) ..."
	@$(PIP) install -e '.[lab,derived,netcdf]'
	@touch $@ $(VENV)/.core
