# make demo   train on the digits that ship with the project, evaluate, export
# make test   the tests; make test-all runs them on every encoder
# make lint   ruff, ruff format, mypy
# Each makes the environment first, where it is missing or the pins have changed.

PYTHON ?= python3.11
VENV ?= .venv
LAMBDA_DIV ?= 1
DEMO := digits_abe4$(if $(filter-out 1,$(LAMBDA_DIV)),_lambda_$(LAMBDA_DIV))

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# //p' Makefile

$(VENV)/runtime: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/development: requirements-dev.txt $(VENV)/runtime
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

demo: $(VENV)/runtime
	$(VENV)/bin/python -m abe_tf.train --flagfile=flags/digits_abe4.cfg --lambda_div=$(LAMBDA_DIV) --workdir=runs/$(DEMO)
	$(VENV)/bin/python -m export.saved_model --workdir=runs/$(DEMO) --export_dir=models/$(DEMO)
	$(VENV)/bin/python -m abe_tf.evaluate --workdir=runs/$(DEMO)
	@echo
	@echo "Run folder      runs/$(DEMO)"
	@echo "TensorBoard     $(VENV)/bin/tensorboard --logdir runs"
	@echo "Exported model  models/$(DEMO)"

test: $(VENV)/development
	$(VENV)/bin/python -m pytest -m "not slow"

test-all: $(VENV)/development
	$(VENV)/bin/python -m pytest

lint: $(VENV)/development
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) runs models
