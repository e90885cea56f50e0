#!/bin/sh
# run.sh BUILD [TARGET...]: runs each fuzz target of a build tree made with VIDETTE_FUZZ=ON for
# FUZZ_SECONDS (default 600), over the kept corpus. New inputs go to BUILD/corpus, crashes to
# BUILD/crashes.
set -eu
build=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
seconds=${FUZZ_SECONDS:-600}
mkdir -p "$build/crashes"
status=0
[ $# -gt 0 ] || set -- safetensors config npy plan reduce
for target; do
    mkdir -p "$build/corpus/$target"
    dictionary=
    [ ! -e "$here/$target.dict" ] || dictionary=-dict=$here/$target.dict
    echo "fuzz_$target, $seconds seconds"
    # shellcheck disable=SC2086
    "$build/tests/fuzz_$target" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=2048 \
        -max_len=8192 -print_final_stats=1 -verbosity=0 $dictionary \
        -artifact_prefix="$build/crashes/$target-" \
        "$build/corpus/$target" "$here/corpus/$target" || status=1
done
[ $status -eq 0 ] || echo "crashes: $(ls "$build/crashes")"
exit $status
