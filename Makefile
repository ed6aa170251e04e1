# The commands people and machines use; each does everything it needs first and is quick when there is nothing to do.
#   make serve     install, then run the control plane on 127.0.0.1:8080     (ARGS="--port 9000" adds flags)
#   make install   the first half alone
#   make install-service, uninstall-service    as root: install, then the systemd units; or remove these
#   make deb       build a Debian package in dist/, for the Python of this machine
#   make dist      build the wheel and the source archive in dist/, the same bytes from the same commit
#   make release   the changelog's section, these and the Debian package, hashes, a bill of materials, the tag (CONTRIBUTING.md)
#   make test      what the tests need, then the whole check: format, lint, types, imports, tests
#   make drills    the long tests: hundreds of kills, full disks, limits that run out, properties with many examples
#   make screenshots    take the pictures of the page in docs/images anew
#   make bench     measure this machine; asserts nothing                     (PEER_SERVER=… adds a yardstick)
#   make lock      renew the locks with the newest versions, then all tests on them
#   make clean     remove the virtual environment and every cache

PYTHON ?= python3
VENV := .venv
ARGS ?=

# One stamp per Python version, so that another PYTHON rebuilds the environment instead of mixing two.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
INSTALLED := $(VENV)/installed-$(VERSION)
INSTALLED_DEV := $(VENV)/installed-dev-$(VERSION)
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet
# What is installed is what the lock names, byte for byte; the project itself is built with what is there by then.
LOCKED := $(PIP) --require-hashes --requirement
OURSELVES := $(PIP) --no-deps --no-build-isolation --editable .
# Where man(1) looks for the pages of what is in the environment's bin.
PAGES := $(VENV)/bin/python -m supervisor.cli.shells.man docs $(VENV)/share/man

.PHONY: dist deb release install install-service uninstall-service serve test drills screenshots bench lock clean

install: $(INSTALLED)

install-service: $(INSTALLED)
	systemd/service install

uninstall-service:
	systemd/service uninstall

deb:
	packaging/build-deb

dist: $(INSTALLED_DEV)
	$(VENV)/bin/python packaging/dist.py

release: $(INSTALLED_DEV)
	packaging/release

serve: $(INSTALLED)
	exec $(VENV)/bin/sondad serve $(ARGS)

test:
	PYTHON=$(PYTHON) tests/prepare
	$(MAKE) $(INSTALLED_DEV)
	tests/check

# Like other tests of real processes they wait more than they work, so twice as many run side by side; those that take
# the whole machine run alone.
drills:
	PYTHON=$(PYTHON) tests/prepare
	$(MAKE) $(INSTALLED_DEV)
	$(VENV)/bin/pytest -n $$((2 * $$(nproc))) --dist worksteal --ignore tests/drills/test_probes.py tests/drills
	$(VENV)/bin/pytest tests/drills/test_probes.py
	$(VENV)/bin/pytest -n logical -m hypothesis --hypothesis-profile thorough tests/unit

screenshots: $(INSTALLED_DEV)
	$(VENV)/bin/python -m tests.support.screenshots docs/images

lock: $(INSTALLED_DEV)
	locks/renew
	$(MAKE) test drills

bench: $(INSTALLED_DEV)
	$(VENV)/bin/python tests/bench/run.py $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment of the same version is kept, whoever made it; anything else is replaced.
$(VENV)/created-$(VERSION):
	@$(PYTHON) -c 'import ensurepip' || { echo 'python venv is incomplete; as root: apt-get install python3-venv' >&2; exit 1; }
	$(VENV)/bin/python -m pip --version 2>/dev/null | grep -qF '(python $(VERSION))' || $(PYTHON) -m venv --clear $(VENV)
	touch $@

$(INSTALLED): pyproject.toml locks/runtime.txt | $(VENV)/created-$(VERSION)
	$(LOCKED) locks/runtime.txt
	$(OURSELVES)
	$(PAGES)
	touch $@

$(INSTALLED_DEV): pyproject.toml locks/dev.txt | $(VENV)/created-$(VERSION)
	$(LOCKED) locks/dev.txt
	$(OURSELVES)
	$(PAGES)
	touch $@ $(INSTALLED)
