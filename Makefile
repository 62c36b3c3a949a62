# Every target with its sentence: make help. Names, not numbers, are in the Python modules that the recipes call.
export PYTHONPATH := operator:images/reader:images/runtime:images/serving:.
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
TELL = $(PYTEST) e2e --timeout 1800 --durations 20 --dist loadfile --no-loadscope-reorder -o cache_dir=.pytest_cache/$@
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup fmt check unit integration fuzz apiserver mutants test-long e2e stories stories-of-operators test test-security up down images deploy demo docs logs generate golden lock bench-batch bench-explanation bench-features bench-monitoring bench-operator bench-pipeline bench-preset bench-reader bench-replay bench-serving clean clean-all

help: ## Print this.
	@awk -F ':[^#]*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make the virtual environment .venv from requirements/dev.txt; nothing to do if it is that already.
	@python3 -m e2e.setup

fmt: setup ## Format the code and mend what ruff can.
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

check: setup ## Style, types, import directions, whether generated files are what the code generates, links of the documentation.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy operator/flywheel operator/generator images/reader/flywheel_reader images/runtime/flywheel_runtime images/serving/flywheel_serving tests e2e demo
	$(BIN)/lint-imports
	$(BIN)/python -m generator --check
	@$(MAKE) --no-print-directory docs

# Where that variable is set, each worker compiles every module anew. worksteal: neighbours, which share fixtures, stay together.
# Without the plugin of schemathesis, whose import takes each of the three processes 1.9 s and which only integration tests use.
unit: export PYTHONDONTWRITEBYTECODE :=
unit: setup ## Tests of this code alone, under a minute. K=name picks.
	$(PYTEST) tests -n 2 --dist worksteal -p no:schemathesis -m "not integration and not apiserver and not exhaustive and not long_run" --durations 5 $(AGAIN) $(if $(K),-k "$(K)")

integration: setup ## Tests that start servers (model servers, an S3 server), train models or repeat a whole life. K=name picks.
	@python3 -m e2e.setup store
	@python3 -m e2e.setup databases
	@python3 -m e2e.setup clients
	@python3 -m e2e.setup mlflow
	@python3 -m e2e.setup onnxruntime
	$(PYTEST) tests -n 2 -m "(integration or exhaustive) and not long_run" $(AGAIN) $(if $(K),-k "$(K)")

fuzz: setup ## Feed strangers' bytes to the server's parsers for minutes (atheris). T=name picks, SECONDS=n is for each.
	@$(BIN)/python -m tests.serving.fuzz $(if $(SECONDS),--seconds=$(SECONDS)) $(T)

mutants: setup ## Put small faults into the code, and list those that no test notices: up to 40 minutes. ARGS="--count 30" or files.
	@python3 -m e2e.setup mutants
	@.venv/mutants/bin/python -m e2e.mutants $(ARGS)

test-long: setup ## What 'make test' leaves out, for hours: every kill, twenty times the examples, minutes of fuzzing.
	@python3 -m e2e.setup store
	@python3 -m e2e.setup databases
	@python3 -m e2e.setup clients
	@python3 -m e2e.setup mlflow
	EXAMPLES_FACTOR=20 $(PYTEST) tests -n 2 -m "(hypothesis or long_run) and not apiserver" --timeout 3600 $(if $(K),-k "$(K)")
	@$(MAKE) --no-print-directory fuzz SECONDS=120
	@$(MAKE) --no-print-directory up images deploy e2e K=operator_killed
	@FLYWHEEL_TABLES=all $(MAKE) --no-print-directory e2e K=strangers_tables
	$(TELL) -n 4 -m long_run

apiserver: setup ## Tests against a real API server, without root or nodes. K=name picks.
	@python3 -m e2e.setup programs
	$(PYTEST) tests -m apiserver --timeout 600 $(AGAIN) $(if $(K),-k "$(K)")

e2e: setup ## Stories on the development cluster, which 'make up images deploy' provides. K=name picks.
	$(if $(K),$(TELL) -k "$(K)",@$(MAKE) --no-print-directory stories-of-operators stories)

# Most of a story is waiting, so several are told at the same time.
stories: setup
	$(TELL) -n 4 -m "not alone and not operator_rests and not long_run" $(AGAIN)

# Told again, one of the two may have no story that failed: pytest's exit code 5.
stories-of-operators: setup
	$(TELL) -n 4 -m operator_rests $(AGAIN) $(if $(AGAIN),|| [ $$? -eq 5 ])
	$(TELL) -m alone $(AGAIN) $(if $(AGAIN),|| [ $$? -eq 5 ])

test-security: setup ## Attacks by a tenant on the development cluster, each with its control and then without it.
	$(TELL) -k "security or forged_pods or secrets_need_rights"
	$(BIN)/python -m e2e.security

test: ## Everything: check, unit, integration, apiserver, and the stories if this machine can hold a cluster.
	@python3 -m e2e.suite

up: ## Start the development cluster (CLUSTER=auto, kind, native or current).
	@python3 -m e2e.cluster up

down: ## End it and everything in it.
	@python3 -m e2e.cluster down

images: ## Build the images that changed, bring them to the cluster, and write digests and SBOMs into .cluster.
	@python3 -m e2e.cluster images

deploy: ## Install or upgrade the chart in the development cluster.
	@python3 -m e2e.deploy

demo: setup up images deploy ## From flights to a served, monitored and retrained model.
	@$(BIN)/python -m demo

logs: ## Follow the operator's log.
	@python3 -m e2e.deploy logs

docs: setup ## Build the documentation's site into dist/docs, and check every link of it.
	@python3 -m e2e.setup docs
	@$(BIN)/python -m e2e.site

generate: setup ## Write CRDs, the chart's copies and permissions, and the API reference.
	@$(BIN)/python -m generator

golden: setup ## Accept the chart as it is rendered now; look at the difference before you commit it.
	@python3 -m e2e.setup programs
	@GOLDEN=write $(PYTEST) tests/test_chart.py -q

lock: setup ## Pin every requirement of pyproject.toml with its hashes, in requirements/.
	@$(BIN)/python -m e2e.setup lock

bench-operator: setup ## Measure the operator against a real API server; prints figures and the command.
	@$(BIN)/python -m e2e.bench.operator

bench-batch: setup ## What batch scoring costs beside a script with DuckDB and onnxruntime; into e2e/bench/results.
	@python3 -m e2e.setup store
	@$(BIN)/python -m e2e.bench.batch

bench-explanation: setup ## What a row's contributions cost beside shap, and importances a training; into e2e/bench/results.
	@python3 -m e2e.setup shap
	@$(BIN)/python -m e2e.bench.explanation

bench-features: setup ## What features by SQL cost a server beside NumPy and DuckDB; into e2e/bench/results.
	@$(BIN)/python -m e2e.bench.features

bench-monitoring: setup ## What a monitor's run costs, its false alarms, and how soon it finds; into e2e/bench/results.
	@python3 -m e2e.setup evidently
	@$(BIN)/python -m e2e.bench.monitoring
	@$(BIN)/python -m e2e.bench.monitoring.power
	@$(BIN)/python -m e2e.bench.monitoring.estimated_power

bench-pipeline: setup up images deploy ## Time between steps, a run from the cache, memory with 1,000 runs; into e2e/bench/results.
	@$(BIN)/python -m e2e.bench.pipeline

bench-preset: setup up images deploy ## Compare the preset with FLAML and AutoGluon on the cluster: 48 minutes; SECONDS=120 of each, TABLES="titanic wine" picks.
	@python3 -m e2e.setup peers
	@$(BIN)/python -m e2e.bench.automl $(if $(SECONDS),--seconds $(SECONDS)) $(if $(TABLES),--tables $(TABLES))

bench-reader: setup ## Measure the reader beside mlflow.search_runs of the same 10,000 runs; into e2e/bench/results.
	@python3 -m e2e.setup store
	@$(BIN)/python -m e2e.bench.reader

bench-replay: setup ## What a gate on logged requests costs beside onnxruntime alone; into e2e/bench/results.
	@$(BIN)/python -m e2e.bench.replay

bench-serving: setup ## Measure the model server beside KServe, MLServer, BentoML and FastAPI; prints the table and the ratios.
	@$(BIN)/python -m e2e.bench.serving

clean: ## Remove what tools left in the checkout, and .venv.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build

clean-all: ## End the cluster and remove every cache too: the next start takes minutes.
	@python3 -m e2e.cluster clean
	@$(MAKE) --no-print-directory clean
