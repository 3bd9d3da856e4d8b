# Two commands for a fresh machine with Python 3.10 or later, a C++17 compiler and make: `make demo` and `make test`.
# Everything is installed into .venv and built under build/; a second run installs nothing and compiles what changed.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PYTEST_ARGS ?=
DEMO_ARGS ?=
# What AddressSanitizer sees of the Python tests: a run of every op. The thousands of random cases and all thread orders
# are the business of the native tests, which it makes only twice as slow.
SANITIZED_TESTS ?= tests/ops -k "emulated and not agree and not ascending and not descending and not wrong"

# Kernels that no GPU here could run are not worth their compile time: `make cuda` compiles them all the same.
GPU := $(shell nvidia-smi -L 2>/dev/null | grep -c '^GPU')
ifeq ($(GPU),0)
CUDA ?= OFF
else
CUDA ?= AUTO
BUILD_ARCHITECTURES = --config-settings=cmake.define.CMAKE_CUDA_ARCHITECTURES=native
endif
# What `make cuda` compiles for: one real architecture, which CUDA 12 and 13 both know.
CUDA_ARCHITECTURES ?= 80-real

# The tools of the environment come first.
export PATH := $(abspath $(VENV))/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
export CTEST_PARALLEL_LEVEL := $(JOBS)
# `-C` as a short form came with pip 23.1; the pip that Python 3.10 brings is older.
EDITABLE = python -m pip install -qq --no-build-isolation --config-settings=build-dir=build/dev \
	--config-settings=cmake.define.PYPOSEFAST_CUDA=$(CUDA) $(BUILD_ARCHITECTURES) --editable
CMAKE = cmake --log-level=NOTICE -G Ninja -S . -DPYPOSEFAST_CUDA=OFF -DPython_EXECUTABLE=$(abspath $(VENV))/bin/python \
	-Dpybind11_DIR=$$(python -m pybind11 --cmakedir)

SOURCES := CMakeLists.txt pyproject.toml $(shell find csrc kernels -type f 2>/dev/null)
CPP_FILES := $(shell find csrc kernels tests benchmarks -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' 2>/dev/null)
SHELL_FILES := .ci/run $(wildcard scripts/*.sh)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test build native lint lint-python lint-types lint-imports lint-cpp lint-shell lint-words format tidy \
	asan tsan cuda wheel without-kernels bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- for everybody ------------------------------------------------------------------------------------------------

demo: $(VENV)/.extra-cpu  ## draw the poses found in a picture, and time each stage; DEMO_ARGS='--network N --image P'
	python -m pyposefast demo $(DEMO_ARGS)

test: $(VENV)/.extra-test native  ## run the native tests, then the Python tests on every device there is
	python -m pytest $(PYTEST_ARGS)

# ---- builds -------------------------------------------------------------------------------------------------------

build: $(VENV)/.built-$(CUDA)  ## install the package into .venv, editable; again after a change of C++ code

native: $(VENV)/.tools  ## build the emulated kernels and the native tests, and run the latter
	$(CMAKE) -B build/emulated -DPYPOSEFAST_EMULATED=ON -DPYPOSEFAST_TESTS=ON
	cmake --build build/emulated
	ctest --test-dir build/emulated --output-on-failure

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo 'PYTHON=$(PYTHON): expected Python 3.10 or later'; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'hint: on Debian, `apt-get install python3-venv`'; exit 1; }

# What pyproject.toml asks for as [build-system] requires: builds here have no isolation, so that a second one is quick
# and needs no network.
$(VENV)/.tools: | $(VENV)/bin/python
	python -m pip install -qq 'scikit-build-core>=0.11' 'pybind11>=2.13' 'cmake>=3.24' ninja
	@touch $@

# One stamp for each way to build, and only one of them at a time: they all install the same package.
$(VENV)/.built-$(CUDA): $(SOURCES) $(VENV)/.tools
	@rm -f $(VENV)/.built-*
	$(EDITABLE) .
	@touch $@

# The packages of one extra. The build that pip repeats here has nothing to do.
$(VENV)/.extra-%: pyproject.toml | $(VENV)/.built-$(CUDA)
	$(EDITABLE) '.[$*]'
	@touch $@

# ---- checks -------------------------------------------------------------------------------------------------------

# With `make -k lint` one finding does not hide those of the other tools.
lint: lint-python lint-types lint-imports lint-cpp lint-shell lint-words  ## all the linters; -k: also after a failure

lint-python: $(VENV)/.extra-dev
	ruff check .
	ruff format --check .

lint-types: $(VENV)/.extra-dev
	mypy
	python -m mypy.stubtest pyposefast._C

lint-imports: $(VENV)/.extra-dev
	lint-imports --no-cache

lint-cpp: $(VENV)/.extra-dev
	clang-format --dry-run -Werror --ferror-limit=3 $(CPP_FILES)

lint-shell: $(VENV)/.extra-dev
	shellcheck $(SHELL_FILES)

lint-words: $(VENV)/.extra-dev
	codespell

format: $(VENV)/.extra-dev  ## rewrite Python and C++ sources the way `make lint` wants them
	ruff check --fix .
	ruff format .
	clang-format -i $(CPP_FILES)

tidy: $(VENV)/.extra-dev native  ## clang-tidy over csrc; slow, so not part of lint
	run-clang-tidy.py -quiet -p build/emulated '$(CURDIR)/csrc/.*\.cpp$$'

# The op tests run on the sanitized kernels too. Python is not instrumented, so the sanitizer is loaded before it, with
# the C++ library whose exceptions it watches; leaks, which Python has at its end, are not looked for. What a sanitizer
# says just before it ends the process must not be caught by pytest.
sanitized_pytest = LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 PYPOSEFAST_EMULATED=build/asan \
	python -m pytest --capture=sys $(SANITIZED_TESTS)

asan: $(VENV)/.extra-test  ## native tests and op tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(CMAKE) -B build/asan -DPYPOSEFAST_TESTS=ON -DPYPOSEFAST_SANITIZE=address
	cmake --build build/asan
	ctest --test-dir build/asan --output-on-failure
	$(sanitized_pytest)

# ThreadSanitizer wants its shadow memory at fixed addresses, which the randomised ones of newer kernels overlap.
# The native tests run every kernel in every thread order; under Python this would take a quarter of an hour.
tsan: $(VENV)/.tools  ## native tests, all kernels among them, under ThreadSanitizer
	$(CMAKE) -B build/tsan -DPYPOSEFAST_TESTS=ON -DPYPOSEFAST_SANITIZE=thread
	cmake --build build/tsan
	TSAN_OPTIONS=halt_on_error=1 setarch --addr-no-randomize ctest --test-dir build/tsan --output-on-failure

# The result has to import on a machine without a driver too. `-S` keeps the editable install of .venv out of the way.
cuda: $(VENV)/.built-$(CUDA)  ## compile the kernels with nvcc (CUDA_ARCHITECTURES=80-real), GPU or not
	python -m pip wheel -qq --no-build-isolation --no-deps --wheel-dir build/cuda/wheel \
		--config-settings=build-dir=build/cuda/tree --config-settings=cmake.define.PYPOSEFAST_CUDA=ON \
		--config-settings='cmake.define.CMAKE_CUDA_ARCHITECTURES=$(CUDA_ARCHITECTURES)' .
	python -m pip install -qq --no-deps --upgrade --target build/cuda/site build/cuda/wheel/*.whl
	cd build/cuda && PYTHONPATH=site:$$(python -c 'import site; print(site.getsitepackages()[0])') \
		python -S -c '$(SMOKE_TEST)'

wheel:  ## build a wheel the way pip does for users, and try it in an environment of its own
	rm -rf build/wheel && $(PYTHON) -m venv build/wheel
	build/wheel/bin/pip install -qq --config-settings=cmake.define.PYPOSEFAST_CUDA=$(CUDA) .
	cd build/wheel && bin/python -c '$(SMOKE_TEST)'

SMOKE_TEST = import numpy; from pyposefast import _C, ops, zoo; \
	peaks = ops.best_peaks(numpy.ones((1, 1, 8, 8), numpy.float32)); \
	assert peaks.count[0, 0] == 1 and zoo.names(); print("imported", _C.__file__)

# What calls the extension; engines, media and metrics never see a kernel.
KERNEL_TESTS = tests/ops tests/decoders tests/pipelines tests/test_arrays.py tests/test_demo.py tests/test_doctor.py

without-kernels:  ## run `make test` in a copy of the tree that has no kernels/: the CPU build must not need it
	mkdir -p build/without-kernels
	find build/without-kernels -mindepth 1 -maxdepth 1 -not -name .venv -not -name build -exec rm -rf {} +
	git ls-files -z --cached --others --exclude-standard | grep --null-data --invert-match '^kernels/' \
		| tar --create --null --files-from=- --ignore-failed-read \
		| tar --extract --directory=build/without-kernels
	test ! -e build/without-kernels/kernels
	$(MAKE) -C build/without-kernels test VENV=.venv CUDA=OFF PYTEST_ARGS='$(KERNEL_TESTS)'

bench: $(VENV)/.extra-test  ## run every benchmark: ours and the usual way, side by side
	@for benchmark in benchmarks/bench_*.py; do echo "== $$benchmark"; python "$$benchmark" || exit 1; done

clean:  ## remove builds and caches; the next target installs the package again
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache $(VENV)/.built-*
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
