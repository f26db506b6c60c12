# Paprika. `make` alone lists the targets; the README starts with `make run` and `make test`.

# ----- What a user may set ---------------------------------------------------------------------------------------------------
# The firmware that `run` and `boot` start the guest with: vof (fast) or slof.
FIRMWARE ?= vof
# The QEMU; empty: qemu-system-ppc64 from the PATH.
QEMU ?=
# Further options of `paprika`.
ARGS ?=
# Which of the tests that boot QEMU `check` runs: a part of their names, as `11.1` or `dimm-after-core`.
CHECK ?=
# Where the payload's core library comes from: prebuilt (rustup), source (built here), or empty: what is at hand.
CORE ?=
# The Debian suites that `qemus` looks into.
QEMU_SUITES ?= trixie sid

# ----- What follows from it --------------------------------------------------------------------------------------------------
TRIPLE   := powerpc64-unknown-linux-musl
PAYLOAD  := target/paprika.elf
PAPRIKA  := target/debug/paprika
SETUP    := sh scripts/setup.sh
CARGO    := cargo
export QEMU

# Whether the core library is prebuilt or built from source is all that differs between the two ways to a payload. In the second
# the compiler is the distribution's, since its sources must be those of the compiler itself.
core      = $(or $(CORE),$(shell cat target/core 2>/dev/null))
from_source = env -u RUSTUP_TOOLCHAIN PATH=/usr/bin:$$PATH RUSTC_BOOTSTRAP=1 /usr/bin/cargo
payload_cargo = $(if $(filter source,$(core)),$(from_source),$(CARGO))
payload_flags = --target $(TRIPLE) $(if $(filter source,$(core)),-Zbuild-std=core$(comma)alloc$(comma)compiler_builtins)
comma    := ,

.DEFAULT_GOAL := help
# Set-up comes once and first; what can run side by side is cargo's business.
.NOTPARALLEL:
.PHONY: help setup run boot race matrix transitions payload harness test check lint doc qemus clean

help: ## lists the targets
	@echo "Targets:"
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12
	@echo
	@printf "Variables: FIRMWARE=vof|slof  QEMU=<program>  ARGS=<options of paprika>  CHECK=<part of a name>\n           CORE=prebuilt|source  QEMU_SUITES=<suites>\n"

run: setup payload harness ## installs what is missing, builds, boots, and shows a hotplug race from end to end
	@$(PAPRIKA) run --firmware $(FIRMWARE) $(ARGS)

boot: setup payload harness ## boots the guest to stay: its console here, QEMU's monitor behind Ctrl-A c
	@$(PAPRIKA) boot --firmware $(FIRMWARE) $(ARGS)

race: setup payload harness ## every race of the lab: all under VOF, and under SLOF those in which it has a part
	@$(PAPRIKA) race --with-slof $(ARGS)

matrix: setup payload harness qemus ## the same in every QEMU at hand, side by side: what differs comes first
	@$(PAPRIKA) race --with-slof --qemu $(or $(QEMU),qemu-system-ppc64) $$(printf -- '--qemu %s ' target/qemu/*/qemu-system-ppc64) $(ARGS)

transitions: setup payload harness ## makes every call about a connector from every state, and prints what comes of it
	@$(PAPRIKA) transitions --firmware $(FIRMWARE) $(ARGS)

test: ## everything that proves us right: lints, docs, unit tests, boots in every QEMU at hand
	@CORE=$(CORE) sh scripts/test.sh

check: setup payload ## only the tests that boot QEMU
	@$(CARGO) test --package paprika-harness --test boots -- $(CHECK)

lint: ## format and lints, for the host and for the target; warnings are errors
	@$(SETUP) build lint
	@$(MAKE) --no-print-directory lint-format lint-host lint-target

.PHONY: lint-format lint-host lint-target
lint-format:
	@$(CARGO) fmt --all --check
lint-host:
	@$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings
lint-target:
	@$(payload_cargo) clippy --quiet --release --package paprika-guest --lib --bin payload $(payload_flags) -- -D warnings

doc: ## the documentation of all items, private ones too; warnings are errors
	@$(SETUP) build
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --workspace --no-deps --document-private-items

payload: ## builds the guest: target/paprika.elf
	@$(SETUP) build
	@$(MAKE) --no-print-directory payload-built

.PHONY: payload-built
payload-built:
	@echo "building the payload (core library: $(core))"
	@$(payload_cargo) build --quiet --release --package paprika-guest --bin payload $(payload_flags)
	@cp target/$(TRIPLE)/release/payload $(PAYLOAD)

harness:
	@$(SETUP) build
	@echo "building the host tool"
	@$(CARGO) build --quiet --package paprika-harness

setup: ## installs what is missing to build and boot
	@$(SETUP) build qemu

qemus: ## fetches newer QEMUs into target/qemu, without installing them
	@sh scripts/qemus.sh $(QEMU_SUITES)

clean: ## removes what was built, and what `qemus` fetched
	@rm -rf target
