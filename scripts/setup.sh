#!/bin/sh
# Installs what is missing, and decides where the payload's core library comes from.
#
#   scripts/setup.sh build        to build: Rust, a linker for ppc64, a C compiler for build scripts
#   scripts/setup.sh qemu         to boot: a qemu-system-ppc64, unless QEMU names one
#   scripts/setup.sh lint         clippy and rustfmt
#
# Nothing is done, and nothing said, where nothing is missing. The decision lands in target/core: `prebuilt` or `source`.
set -eu

triple=powerpc64-unknown-linux-musl
# How long rustup may take to say whether it can give us the target, in seconds.
patience=20

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\n' "setup: $*"; }
give_up() { printf '%s\n' "setup: $*" >&2; exit 2; }

# ----- What is missing, as Debian's packages -----------------------------------------------------------------------------------

# The compiler whose sources are packaged: Debian keeps a current one for its browsers.
source_packages="cargo-web rustc-web rust-web-src"

has_source() { [ -x /usr/bin/cargo ] && [ -e "$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/core/src/lib.rs" ]; }

missing_to_build() {
    have cargo || echo $source_packages
    [ "$core" != source ] || has_source || echo $source_packages
    have cc || echo gcc libc6-dev
    have powerpc64-linux-gnu-ld || echo binutils-powerpc64-linux-gnu
}

missing_to_boot() {
    if [ -n "${QEMU:-}${QEMU_TEST_QEMU_BINARY:-}" ]; then return; fi
    have qemu-system-ppc64 || echo qemu-system-ppc
}

missing_to_lint() {
    # With rustup both come with the compiler; the packaged clippy is needed as well where the packaged compiler
    # builds the payload, since the two must match.
    if [ "$core" = source ]; then [ -x /usr/bin/cargo-clippy ] || echo rust-web-clippy; fi
    cargo clippy --version >/dev/null 2>&1 || echo rust-web-clippy
    cargo fmt --version >/dev/null 2>&1 || echo rustfmt-web
}

# ----- Where the core library comes from ---------------------------------------------------------------------------------------

prebuilt_is_there() { [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$triple/lib" ]; }

# Asks rustup for it, where there is one.
prebuilt_can_be_had() {
    prebuilt_is_there || { have rustup && timeout "$patience" rustup target add "$triple" >/dev/null 2>&1 && prebuilt_is_there; }
}

decide() {
    wanted=${CORE:-$(cat target/core 2>/dev/null || true)}
    case $wanted in
    source) echo source ;;
    prebuilt)
        prebuilt_can_be_had || give_up "rustup has no $triple for this compiler: install it, or say CORE=source"
        echo prebuilt
        ;;
    '') if prebuilt_can_be_had; then echo prebuilt; else echo source; fi ;;
    *) give_up "CORE is prebuilt or source, not '$wanted'" ;;
    esac
}

# ----- Installing --------------------------------------------------------------------------------------------------------------

install() {
    packages=$(printf '%s\n' "$@" | tr ' ' '\n' | sort -u | tr '\n' ' ')
    have apt-get || give_up "this is missing, in the words of Debian's packages: $packages
setup: install what your system calls them, and come again."
    as_root=
    if [ "$(id -u)" != 0 ]; then
        have sudo || give_up "root is needed to install: $packages"
        as_root=sudo
    fi
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    for attempt in 1 2; do
        say "installing $packages(attempt $attempt; a minute or so)"
        if { $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq \
            --no-install-recommends $packages; } >"$log" 2>&1; then return; fi
    done
    tail -n 20 "$log" >&2
    give_up "apt-get could not install: $packages"
}

# ----- All together ------------------------------------------------------------------------------------------------------------

mkdir -p target
core=$(decide) || exit

missing=$(for need in "$@"; do
    case $need in
    build) missing_to_build ;;
    qemu) missing_to_boot ;;
    lint) missing_to_lint ;;
    *) give_up "unknown need '$need'" ;;
    esac
done)
if [ -n "$missing" ]; then install $missing; fi

# What a clippy is for is known only once there is a compiler: a second look.
for need in "$@"; do
    if [ "$need" = lint ]; then
        missing=$(missing_to_lint)
        if [ -n "$missing" ]; then install $missing; fi
    fi
done

# Written once: a decision that changed from call to call would build everything anew.
if [ -z "${CORE:-}" ] && [ ! -s target/core ]; then echo "$core" >target/core; fi
