#!/bin/sh
# Runs everything that proves us right, to its end, and counts.
#
# Each step's output is in target/test/<step>.log, and is shown where the step failed. The last line is
# `N passed, N failed`: every test counts, and every step that has none of its own (a lint) counts as one.
set -u

make="make --no-print-directory CORE=${CORE:-}"
logs=target/test
rm -rf "$logs"
mkdir -p "$logs"
passed=0
failed=0
skipped=0

# Adds up what the test runners said of themselves.
count() { sed -n "s/^test result: .* \([0-9]*\) $1;.*/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'; }

# step NAME WHAT COMMAND...
step() {
    name=$1 what=$2
    shift 2
    log=$logs/$name.log
    start=$(date +%s)
    if "$@" >"$log" 2>&1; then state=ok; else state=FAILED; fi
    good=$(count passed "$log") bad=$(count failed "$log")
    if [ "$good" = 0 ] && [ "$bad" = 0 ]; then
        if [ $state = ok ]; then good=1; else bad=1; fi
    elif [ $state = FAILED ] && [ "$bad" = 0 ]; then
        bad=1
    fi
    skipped=$((skipped + $(grep -c '^SKIP: ' "$log")))
    passed=$((passed + good)) failed=$((failed + bad))
    printf '%-8s %-52s %4d passed, %d failed, %d s\n' "$state" "$what" "$good" "$bad" $(($(date +%s) - start))
    if [ $state = FAILED ]; then
        tail -n 60 "$log"
        echo "All of it is in $log."
    fi
}

echo "testing; the logs are in $logs"
step setup "what is needed is installed" sh scripts/setup.sh build qemu lint
step payload "the payload is built" $make payload
step unit "unit tests, and the rules of the repository" cargo test --no-fail-fast --workspace --exclude paprika-harness
step harness "the host tool's own tests" cargo test --no-fail-fast --package paprika-harness --lib --bins --test cli
step boots "boots in real QEMU" cargo test --package paprika-harness --test boots
step races "races in real QEMU, each in one of them" env PAPRIKA_RACES=share cargo test --package paprika-harness --test races
step format "format" $make lint-format
step host "lints for the host" $make lint-host
step target "lints for the target" $make lint-target
step doc "documentation" $make doc

if [ "$skipped" != 0 ]; then
    echo "$skipped of them were skipped on a QEMU that lacks what they need:"
    grep -h '^SKIP: ' "$logs"/*.log | sed 's/ \[[^][]*\]$//; s/.*: //' | sort | uniq -c
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
