#!/bin/sh
# Runs each fuzz target for SECONDS_EACH (60). What it finds on its way goes to the target directory, so that the
# corpus in the repository, from which it starts, stays small. Ends at the first input that breaks a promise.
set -eu
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"
# No code of ours is unsafe, so a sanitizer would find little; and without one stable Rust will do.
cargo fuzz build --sanitizer none --fuzz-dir fuzz
for target in $(cargo fuzz list --fuzz-dir fuzz); do
    finds="$CARGO_TARGET_DIR/finds/$target"
    mkdir -p "$finds"
    log="$CARGO_TARGET_DIR/$target.log"
    if cargo fuzz run --sanitizer none --fuzz-dir fuzz "$target" "$finds" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        covered=$(sed -n 's/^#[0-9]*[[:space:]]*DONE *cov: \([0-9]*\).*/\1/p' "$log")
        echo "$target: nothing in ${seconds} s, $runs runs, $covered edges covered"
    else
        tail -n 40 "$log" >&2
        exit 1
    fi
done
