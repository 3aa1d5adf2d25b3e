# Each target sets up what it needs by itself: a virtual environment in .venv with pinned packages.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
# Modules are compiled when they are first imported: most of what is installed never is.
PIP     = $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt

.PHONY: quickstart test tests lint style types site clean

quickstart: $(VENV)/.base
	$(BIN)/ontogeny run recipes/quickstart.yaml --jobs 2
	$(BIN)/ontogeny evidence runs/quickstart

test: style
	$(MAKE) --no-print-directory -j2 types tests  # types are checked by one process, for a minute

tests: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: style types

style: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy

# The documentation, its notebooks run on a finished quickstart: build/site/index.html.
site: $(VENV)/.docs
	test -e runs/quickstart/report/index.html || $(MAKE) quickstart
	$(BIN)/python -m sphinx -q -W $(SPHINX) -b html docs build/site
	@echo "site: build/site/index.html"

$(VENV)/.docs: $(VENV)/.base
	$(PIP) -e '.[docs]'
	touch $@

# torch comes first and pinned: what depends on it then takes the build that is there.
$(VENV)/.base: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ontogeny needs Python 3.11 or newer; say which with: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[explorer]'
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) -e '.[dev,explorer,hub,peers,infinigram]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
