# `make demo` and `make test` are all that a newcomer needs; both install what is missing into .venv.
PYTHON ?= python3
BIN := .venv/bin
SITE := site

.PHONY: help install demo test lint types bench docs

help:
	@echo "make demo   all steps on a small synthetic corpus (minutes)"
	@echo "make test   the whole test suite"
	@echo "make lint   ruff;  make types  mypy;  make bench  the benchmarks"
	@echo "make docs   the documentation, into site/"

install: .venv/installed

# torch is pinned here, and asked for in the same call: a bare `torch` may bring gigabytes of CUDA.
.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed.")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 -e '.[dev]'
	touch $@

demo: install
	$(BIN)/avemotion demo

# Side by side, a file each; one thread each, since threads of several tests would wait for one another.
test: install
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

bench: install
	$(BIN)/python benchmarks/verify.py
	$(BIN)/python benchmarks/preprocess.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/classify.py
	$(BIN)/python benchmarks/app.py

# The variable silences Material's note on its own end of life.
docs: install
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict -f docs/mkdocs/mkdocs.yml -d "$(abspath $(SITE))"
	@echo "$(SITE)/index.html; its search needs a server: python -m http.server -d $(SITE)"
