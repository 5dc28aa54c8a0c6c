# make demo   train on the digits that ship with the project, evaluate, export, index
# make test   the tests; make test-all adds every encoder, databases, Apache Beam
# make smoke-serving MODEL=models/NAME   the contract's cases against TensorFlow Serving in Docker (not run here)
# make lint   ruff, ruff format, mypy
# Each makes the environment first, where it is missing or the pins have changed.
# make TF=2.21 demo, test or lint: on TensorFlow 2.21, in an environment of its own

TF ?= 2.15
PYTHON ?= python3.11
ifeq ($(TF),2.15)
VENV ?= .venv
PINS := requirements
else ifeq ($(TF),2.21)
VENV ?= .venv-2.21
PINS := requirements-2.21
else
$(error TF must be 2.15 or 2.21. Received: $(TF))
endif
# Of the same version as the TensorFlow that exports.
SERVING_IMAGE ?= tensorflow/serving:$(if $(filter 2.15,$(TF)),2.15.1,2.21.0)
# What test runs: all, or some files and folders.
TESTS ?=
LAMBDA_DIV ?= 1
# Further flags of the demo's training.
TRAIN_FLAGS ?=
DEMO := digits_abe4$(if $(filter-out 1,$(LAMBDA_DIV)),_lambda_$(LAMBDA_DIV))

.DEFAULT_GOAL := help
.PHONY: help demo test test-all only-2.15 smoke-serving lint clean
.DELETE_ON_ERROR:

help:
	@sed -n '/^$$/q;s/^# //p' Makefile

$(VENV)/runtime: $(PINS).txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(PINS).txt
	@touch $@

$(VENV)/development: $(PINS)-dev.txt $(VENV)/runtime
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(PINS)-dev.txt
	@touch $@

$(VENV)/engines: requirements-engines.txt $(VENV)/runtime
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-engines.txt
	@touch $@

# Apache Beam refuses some of the other environment's versions.
$(VENV)-bulk/development: requirements-bulk.txt requirements-bulk-dev.txt
	$(PYTHON) -m venv $(VENV)-bulk
	$(VENV)-bulk/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bulk.txt
	$(VENV)-bulk/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bulk-dev.txt
	@touch $@

demo: $(VENV)/runtime
	$(VENV)/bin/python -m abe_tf.train --flagfile=flags/digits_abe4.cfg --lambda_div=$(LAMBDA_DIV) --workdir=runs/$(DEMO) $(TRAIN_FLAGS)
	$(VENV)/bin/python -m abe_tf.evaluate --workdir=runs/$(DEMO)
	$(VENV)/bin/python -m export.saved_model --workdir=runs/$(DEMO) --export_dir=models/$(DEMO)
	$(VENV)/bin/python -m abe_tf.data --dataset=digits --split=test --save_images=photos/digits
	$(VENV)/bin/python -m abe_tf.index --index=indexes/$(DEMO) --workdir=runs/$(DEMO) photos/digits
	@echo
	@echo "Run folder      runs/$(DEMO)"
	@echo "TensorBoard     $(VENV)/bin/tensorboard --logdir runs"
	@echo "Report          $(VENV)/bin/python -m abe_tf.report --workdir=runs/$(DEMO)"
	@echo "Exported model  models/$(DEMO)"
	@echo "Serve it        $(VENV)/bin/python -m export.local_server --model_dir=models/$(DEMO)"
	@echo "Search          $(VENV)/bin/python -m abe_tf.search --index=indexes/$(DEMO) IMAGE"
	@echo "Open the page   $(VENV)/bin/python -m abe_tf.browse --index=indexes/$(DEMO)"

test: $(VENV)/development
	$(VENV)/bin/python -m pytest -m "not slow" $(TESTS)

test-all: only-2.15 $(VENV)/development $(VENV)/engines $(VENV)-bulk/development
	$(VENV)/bin/python -m pytest
	$(VENV)-bulk/bin/python -m pytest -n 0 tests/bulk

# The databases and Apache Beam are pinned beside TensorFlow 2.15.
only-2.15:
	@test $(TF) = 2.15 || { echo "test-all must run with TF=2.15. Received: $(TF). Leave TF out, or run: make TF=$(TF) test"; exit 1; }

smoke-serving: $(VENV)/development
	@test -n "$(MODEL)" || { echo "smoke-serving: MODEL must be a model folder, such as MODEL=models/digits_abe4. Received: none."; exit 1; }
	rm -rf models/contract && $(VENV)/bin/python -m tests.export.server.contract_model models/contract
	docker run --rm -d --name abe-contract -p 8591:8501 -v "$(CURDIR)/models/contract:/models/contract" $(SERVING_IMAGE) --model_config_file=/models/contract/models.config --allow_version_labels_for_unavailable_models
	docker run --rm -d --name abe-model -p 8592:8501 -v "$(abspath $(MODEL)):/models/abe" $(SERVING_IMAGE) --model_config_file=/models/abe/models.config --allow_version_labels_for_unavailable_models
	sleep 20; status=0; \
	$(VENV)/bin/python -m pytest tests/export/server/test_contract.py --server_url=http://localhost:8591 || status=1; \
	curl --fail --silent http://localhost:8592/v1/models/abe/labels/stable || status=1; \
	docker stop abe-contract abe-model; exit $$status

lint: $(VENV)/development
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .venv-* runs models indexes photos/digits
