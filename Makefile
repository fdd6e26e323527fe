# From a fresh clone, with nothing but Python 3.11 and make:  make report  |  make test
VENV := .venv
PY := $(VENV)/bin/python
PINNED := setup.cfg setup.py pyproject.toml constraints.txt
# Models that tests hold against Keras's. Without their own requirements: what they need of them is there.
LIBRARIES := timm torchvision
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install report test quick soak verify bench lint format clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

install: $(VENV)/.ready-full  ## build .venv, from which everything runs

report: $(VENV)/.ready-full  ## verify every pair and write report/index.html
	$(PY) -m parity report --out report

test: $(VENV)/.ready-test  ## run all tests
	$(PY) -m pytest parity
	$(PY) -m pytest -n 2 --dist worksteal -m 'not processes' tests
	$(PY) -m pytest -n 2 --dist worksteal -m processes tests

quick: $(VENV)/.ready-test  ## run the tests that are not slow: an answer in under three minutes
	$(PY) -m pytest -n 2 --dist worksteal -m 'not slow' tests

soak: $(VENV)/.ready-test  ## kill, starve and resume 200 random runs in each framework (20 minutes)
	$(PY) -m benchmarks.soak

verify: $(VENV)/.ready-full  ## verify every pair, verdicts in the terminal
	$(PY) -m parity verify --all

bench: $(VENV)/.ready-test  ## measure commands, training beside tutorials, options, scaling, feeding, sound (an hour)
	$(PY) -m benchmarks

lint: $(VENV)/.ready-dev  ## ruff, format check, mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.ready-dev  ## sort imports, mend what ruff can mend, format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:  ## remove the environment, caches and what was generated
	rm -rf $(VENV) report build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment; a stamp per extra. The mark .building outlives an interrupted installation, so that the next call starts over.
$(VENV)/.ready-%: $(PINNED)
	@python=''; for name in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	    if $$name -c '$(SUPPORTED)' 2>/dev/null; then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then \
	    echo 'Python 3.11 (up to 3.13) is needed and was not found; name one with: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; fi; \
	if [ -e $(VENV)/.building ]; then echo 'the last installation was interrupted: starting over'; rm -rf $(VENV)/lib $(VENV); \
	elif [ -d $(VENV) ] && ! $(PY) -c '$(SUPPORTED)' 2>/dev/null; then \
	    echo 'no usable Python in $(VENV): starting over'; rm -rf $(VENV)/lib $(VENV); fi; \
	mkdir -p $(VENV) && touch $(VENV)/.building && \
	{ $(PY) -m pip --version >/dev/null 2>&1 || "$$python" -m venv $(VENV); }
	@echo 'installing pinned packages into $(VENV) (a few minutes the first time)'
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[$*]'
	@case $* in test|dev) $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps $(LIBRARIES);; esac
	@touch $@ && rm -f $(VENV)/.building
