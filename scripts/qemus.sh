#!/bin/sh
# Fetches newer QEMUs into target/qemu/<version>/, without installing anything.
#
#   scripts/qemus.sh SUITE...     Debian suites, as `trixie sid`
#
# Each suite gets an apt configuration of its own, made from the machine's. QEMU and every library that it needs are unpacked
# into one folder, and started through that folder's own dynamic linker: target/qemu/<version>/qemu-system-ppc64. The folder
# can be moved. A suite that was fetched is not looked into again; remove target/qemu to look for newer ones.
set -eu

top=$(pwd)/target/qemu
say() { printf '%s\n' "qemus: $*"; }
give_up() { printf '%s\n' "qemus: $*" >&2; exit 1; }

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    give_up "this needs Debian's apt-get and dpkg-deb; put other QEMUs into target/qemu/<version>/qemu-system-ppc64 by hand"

# The machine's own source of Debian's packages, in either form that apt has.
source_line() {
    uri=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
    key=$(sed -n 's/^Signed-By: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
    [ -n "$uri" ] || uri=$(sed -n 's/^deb \(\[[^]]*\] \)*\([^ ]*\) .*/\2/p' /etc/apt/sources.list 2>/dev/null | head -n 1)
    [ -n "$uri" ] || give_up "no package source found under /etc/apt"
    printf 'deb %s%s %s main\n' "${key:+[signed-by=$key] }" "$uri" "$1"
}

fetch() {
    suite=$1
    work=$top/.work-$suite
    version=$(cat "$top/.fetched-$suite" 2>/dev/null || true)
    if [ -n "$version" ] && [ -x "$top/$version/qemu-system-ppc64" ]; then return; fi
    rm -rf "$work"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/system"
    : >"$work/status"
    source_line "$suite" >"$work/sources.list"
    set -- -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::PreferencesParts=/dev/null -o "Dir::State::Lists=$work/lists" -o "Dir::State::status=$work/status" \
        -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Debug::NoLocking=1 -qq
    say "looking into $suite"
    apt-get "$@" update >"$work/log" 2>&1 || return 1
    version=$(apt-cache "$@" policy qemu-system-ppc | sed -n 's/^ *Candidate: *//p' | sed 's/^[0-9]*://; s/[+~-].*//')
    [ -n "$version" ] || return 1
    say "fetching QEMU $version"
    apt-get "$@" -y --no-install-recommends --download-only install qemu-system-ppc >>"$work/log" 2>&1 || return 1
    for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$work/system" || return 1; done
    # Documentation and programs that QEMU does not start are a good part of it.
    rm -rf "$work/system/usr/share/doc" "$work/system/usr/share/man" "$work/system/usr/share/locale" "$work/system/var"
    rm -rf "${top:?}/$version"
    mkdir -p "$top/$version"
    mv "$work/system" "$top/$version/system" || return 1
    wrapper >"$top/$version/qemu-system-ppc64"
    chmod +x "$top/$version/qemu-system-ppc64"
    rm -rf "$work"
    "$top/$version/qemu-system-ppc64" -version >/dev/null || give_up "QEMU $version was fetched and does not start"
    echo "$version" >"$top/.fetched-$suite"
}

wrapper() {
    cat <<'END'
#!/bin/sh
# Starts the QEMU of this folder with the libraries of this folder.
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)/system
arch=$(uname -m)-linux-gnu
loader=$(echo "$here"/usr/lib/"$arch"/ld-linux-*.so.* "$here"/lib*/ld-linux-*.so.* | tr ' ' '\n' | while read -r file; do
    if [ -e "$file" ]; then echo "$file"; fi
done | head -n 1)
exec "$loader" --library-path "$here/usr/lib/$arch:$here/lib/$arch:$here/usr/lib/$arch/pulseaudio" \
    "$here/usr/bin/qemu-system-ppc64" -L "$here/usr/share/qemu" -L "$here/usr/share/seabios" "$@"
END
}

mkdir -p "$top"
failed=
for suite in "$@"; do
    fetch "$suite" || { say "$suite: not reachable, or without QEMU"; failed="$failed $suite"; }
done
for qemu in "$top"/*/qemu-system-ppc64; do
    [ -x "$qemu" ] && printf '%s\t%s\n' "$(basename "$(dirname "$qemu")")" "$qemu"
done
[ -z "$failed" ]
