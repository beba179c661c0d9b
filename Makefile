# Set-up and everyday commands. GNU make 3.81 and newer, on Linux and macOS; `make help` says what there is.
# Another Python: make demo PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
READY = $(VENV)/.ready
GOAL = $(firstword $(MAKECMDGOALS) demo)

.PHONY: demo test test-all lint help clean

demo: $(READY)  ## train a vision transformer on real handwritten digits
	$(VENV)/bin/sslkit run --algo ema_teacher --mixer prob_pseudo --backbone vit_base

test: $(READY)  ## the tests of every day
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

test-all: test  ## all tests: also those that start processes, kill them and build wheels
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile -m slow

lint: $(READY)  ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##  */\1	/p' Makefile

clean:  ## remove the environment
	rm -rf $(VENV)

# The stamp is made when all is installed, so a second `make` installs nothing. `.installing` stands while an
# installation is under way: found at the start, it means that one was cut off, and the environment is made anew.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "$(PYTHON) is not Python 3.11 or newer; name one that is: make $(GOAL) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@test ! -e $(VENV)/.installing || rm -rf $(VENV)
	@test -e $(READY) || test "`df -Pk . | awk 'NR == 2 { print $$4 }'`" -ge 7812500 || \
	  { echo "less than 8 GB of free disk here; torch with its CUDA libraries takes most of that" >&2; exit 1; }
	@mkdir -p $(VENV) && touch $(VENV)/.installing
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[test]'
	@rm $(VENV)/.installing && touch $(READY)
