# make demo   the main job, from end to end
# make test   linters, type checker, all tests; of one room only: make test T=tests/bridge
# make bench  what it costs, in under three minutes; ends with the path of the report
# All install what they need: Debian packages when root, the rest in .venv.
# make ready  what the tests stand on, without running them all: tools, machine code, clients, collection
# make coverage   how much of the product the tests run, branches included: an hour and a half, and fails where it is less than
#                 it was; of one room only: make coverage T=tests/bridge
# make docs   the pages as a site, in build/site
# make release  what a release consists of, built twice with equal bytes, in dist/ (RELEASING.md)

PYTHON ?= python3
export PYTHON
# The tests start thousands of interpreters, and without bytecode each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

# The tests wait for real servers as much as they compute, so two processors have four processes of them. Those of a file
# share servers, so a file stays in one process.
PARALLEL ?= --numprocesses=4 --dist=loadfile --no-loadscope-reorder

BUILD_INPUTS := requirements.lock pyproject.toml scripts/sync-venv \
	$(wildcard preload/Makefile preload/*.mk preload/hatch_build.py preload/strongroom-start preload/src/*/*.[ch])

# The machine code is looked at every time: it is built again if the compiler is another one, too.
define prepare
@scripts/need $(1)
@$(MAKE) --no-print-directory -s .venv/synced
@$(MAKE) --no-print-directory -s -C preload
endef

.PHONY: demo test check ready coverage bench docs release lock clean

demo:
	$(call prepare,demo)
	@.venv/bin/strongroom demo

# What is collected beforehand is in bytecode, which else each of the processes would make for itself.
test: check
	@tests/s3clients/install & installing=$$!; .venv/bin/pytest --collect-only --quiet $(T) >/dev/null 2>&1 || :; wait $$installing
	@.venv/bin/pytest $(PARALLEL) --durations=20 $(T)

# The quick half of the tests: style, types, architecture, words.
check:
	$(call prepare,test)
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --quiet --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@scripts/words

# Fails where a tool that a test asks for is not named in scripts/need: each compiler and each target builds something.
ready: check
	@tests/s3clients/install
	@.venv/bin/pytest --collect-only --quiet >/dev/null
	@.venv/bin/pytest --quiet tests/preload/test_library.py tests/preload/test_build_hook.py tests/preload/test_region_reader.py \
		tests/init/test_init.py::TestBuild tests/wrapper/test_static_code.py tests/matrix

coverage:
	$(call prepare,test)
	@tests/s3clients/install
	@scripts/coverage $(if $(T),,--all) $(PARALLEL) --quiet $(T)

bench:
	$(call prepare,bench)
	@.venv/bin/strongroom bench run --quick

docs: .venv/synced
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet
	@echo build/site/index.html

release:
	$(call prepare,test)
	@scripts/release

.venv/synced: $(BUILD_INPUTS)
	@scripts/sync-venv

# Pin the newest versions that pyproject.toml allows.
lock: .venv/synced
	@UV_SYSTEM_CERTS=1 .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--all-extras --group test --group docs --group release --group build --upgrade pyproject.toml -o requirements.lock
	@UV_SYSTEM_CERTS=1 .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--group s3clients --upgrade -o tests/s3clients/requirements.lock
	@UV_SYSTEM_CERTS=1 .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--extra bridge --extra s3proxy --constraint requirements.lock --upgrade pyproject.toml -o deploy/servers.lock
	@UV_SYSTEM_CERTS=1 .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--group wheel --constraint requirements.lock --upgrade -o deploy/build.lock

clean:
	rm -rf .venv build dist preload/lib preload/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
