# The front door. Two commands are enough: `make demo` and `make test`.
# Everything below drives CMake; build trees are under build/.
.DEFAULT_GOAL := all
.PHONY: all deps deps-test demo test install asan tsan clang fuzz lint format clean

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local
CMAKE_OPTIONS ?=

# What Debian 12 calls the packages we build with, and those that only the tests want.
PACKAGES := gcc libc6-dev cmake pkg-config libavformat-dev libavcodec-dev libavutil-dev libswscale-dev \
	libavdevice-dev libjansson-dev libdnnl-dev
TEST_PACKAGES := g++ clang libclang-rt-14-dev libcmocka-dev

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Installs only what is missing, so that a second run needs no network and no rights.
define install_packages
	@missing=; for package in $(1); do \
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "Installing$$missing"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef

# Configures (only once: CMake notices changes by itself) and builds the tree $(1) with the options $(2).
define build_tree
	@[ -e $(1)/Makefile ] || cmake -S . -B $(1) $(2) $(CMAKE_OPTIONS) >/dev/null
	@cmake --build $(1) --parallel $(JOBS) -- --no-print-directory
endef

define run_tests
	@cd $(1) && ctest --output-on-failure --parallel $(JOBS)
endef

all:
	$(call build_tree,build/release,-DBUILD_TESTING=OFF)
	@ln -sf release/vidette build/vidette && ln -sf release/libvidette.so build/libvidette.so

deps:
	$(call install_packages,$(PACKAGES))

deps-test: deps
	$(call install_packages,$(TEST_PACKAGES))

demo: deps
	@$(MAKE) --no-print-directory all
	@scripts/demo.sh

test: deps-test
	$(call build_tree,build/check,-DVIDETTE_WERROR=ON)
	$(call run_tests,build/check)

install: all
	@cmake --install build/release --prefix $(PREFIX)

asan: deps-test
	$(call build_tree,build/asan,-DVIDETTE_WERROR=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVIDETTE_SANITIZE=address$(comma)undefined)
	$(call run_tests,build/asan)

tsan: deps-test
	$(call build_tree,build/tsan,-DVIDETTE_WERROR=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVIDETTE_SANITIZE=thread)
	$(call run_tests,build/tsan)

clang: deps-test
	$(call build_tree,build/clang,-DVIDETTE_WERROR=ON -DCMAKE_C_COMPILER=clang)
	$(call run_tests,build/clang)

# Each target for FUZZ_SECONDS under ASan and UBSan; new inputs go into build/fuzz/corpus.
FUZZ_SECONDS ?= 600
fuzz: deps-test
	$(call build_tree,build/fuzz,-DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVIDETTE_FUZZ=ON -DVIDETTE_SANITIZE=address$(comma)undefined)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh build/fuzz

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

# What compilers do not say. Not part of the tests: checks come and go with the versions of these tools.
lint: deps-test
	$(call install_packages,clang-tidy cppcheck)
	@[ -e build/lint/compile_commands.json ] || cmake -S . -B build/lint -DCMAKE_C_COMPILER=clang -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
	@git ls-files 'src/*.c' 'tools/*.c' | xargs -P $(JOBS) -n 8 clang-tidy --quiet -p build/lint
	@cppcheck --quiet --error-exitcode=1 --inline-suppr --enable=warning,performance,portability -Iinclude -Isrc src tools

clean:
	@rm -rf build

comma := ,
