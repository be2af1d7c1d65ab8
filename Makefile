# Everything a person or CI runs. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 8

demo: $(STAMP)  ## find the circuit behind "The official language of France is" -> " French"
	$(BIN)/wheatstone discover --model smollm2-135m \
		--prompt "The official language of France is" \
		--counterfactual "The official language of Japan is" \
		--answer " French" --distractor " Japanese" \
		--faithfulness 0.9 --out runs/france --force

test: $(STAMP)  ## the whole test suite (pulls SmolLM2-135M once)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope

lint: $(STAMP)  ## ruff, pyright, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

# The environment is made again only when what it is made of has changed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.version_info >= (3, 11) or sys.exit("expected Python 3.11 or newer; got " + v + "; run make with PYTHON=/path/to/a/newer/python")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the pinned dependencies into .venv; the first time takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
