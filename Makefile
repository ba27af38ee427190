# make demo    restore a noisy clip and show the gain, in demo/
#              VIDEO=path  a video of yours    NOISE=sigma  0 adds none
#              MODEL=name  of the zoo          FRAMES=n     no more than these
# make test    the tests                       make lint    ruff
# make wheel   dist/*.whl                      make clean   all that these make
#
# Needs Python 3.11 or later and nothing else: each command makes a virtual environment
# of its own (.venv-demo, .venv-test) and installs into it, again when pyproject.toml
# changes. PYTHON=path chooses the interpreter.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP = bin/python -m pip install --quiet --disable-pip-version-check
export TF_CPP_MIN_LOG_LEVEL = 3
# Norms of many small matrices: on more threads OpenBLAS only waits.
export OPENBLAS_NUM_THREADS = 1

.PHONY: demo test lint wheel clean
.DELETE_ON_ERROR:

demo: .venv-demo/installed
	@.venv-demo/bin/python examples/demo.py $${VIDEO:+--video "$$VIDEO"} \
	    $${NOISE:+--noise "$$NOISE"} $${MODEL:+--model "$$MODEL"} \
	    $${FRAMES:+--frames "$$FRAMES"}

test: .venv-test/installed
	.venv-test/bin/python -m pytest -n auto --dist worksteal

lint: .venv-test/installed
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .

wheel: .venv-test/installed
	.venv-test/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .

.venv-demo/installed .venv-test/installed: .venv-%/installed: pyproject.toml
	@echo "Installing into .venv-$* (once; a minute or two) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "Python 3.11 or later is needed, this is " + sys.version.split()[0])'
	@$(PYTHON) -m venv --clear .venv-$*
	@.venv-$*/$(PIP) --editable '.[$*]'
	@touch $@

clean:
	rm -rf .venv-demo .venv-test demo dist build .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
