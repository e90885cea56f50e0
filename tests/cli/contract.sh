#!/bin/sh
# The command's contract: exit statuses, what goes to stdout and what to stderr, options, output
# files that appear whole or not at all, signals, --resume.
set -u
. "$2/tests/cli/common.sh"

media=$work/media
"$make_media" "$media" || exit 1
model=$golden/videomae_mean
image_model=$golden/vit_classification
clip=$media/array.npy

echo "help"
run
expect_status 2
expect_no_output
for argument in --help -h help; do
    run $argument
    expect_status 0
    expect_quiet
    grep -q classify "$out" || fail "expected the commands"
done
run --version
expect_status 0
expect_quiet
grep -q '^vidette [0-9]' "$out" || fail "expected a version"
for name in classify embed view info; do
    for argument in --help -h "--json --help" "-m x --help nothing"; do
        run $name $argument
        expect_status 0
        expect_quiet
        grep -q "vidette $name" "$out" || fail "expected an example"
        [ "$(wc -l <"$out")" -le 40 ] || fail "expected one screen"
    done
done

echo "wrong usage"
run clasify
expect_error 2 clasify "did you mean classify"
run frobnicate_everything
expect_error 2 frobnicate_everything
run --json
expect_status 2
expect_own_words
for pair in jsn:json modle:model outptu:output samplng:sampling thread:threads lgits:logits; do
    run classify --${pair%:*} x
    expect_error 2 "--${pair%:*}" "did you mean --${pair#*:}"
    expect_no_output
done
run classify --completely-unlike-any-option x
expect_error 2 --completely-unlike-any-option
run classify -z x
expect_error 2 -z
run info --sampling center # another command's
expect_error 2 --sampling
run classify
expect_error 2 INPUT
run classify --json
expect_error 2 INPUT
run embed -m "$model" "$clip"
expect_error 2 -o
run embed -m "$model" "$clip" -o "$work/x.txt"
expect_error 2 .npy
run classify -m "$model" --arch vit-tiny "$clip"
expect_error 2 --arch
for option in model arch size sampling rate frames top precision threads batch cpu progress \
    output; do
    run classify "$clip" --$option
    expect_error 2 "--$option" nothing
    run classify "$clip" --$option=
    expect_error 2 "--$option"
done
for pair in size:8193 size:-1 size:x size:1e2 sampling:middle sampling:multi sampling:multi:0x1 \
    sampling:multi:1x2 sampling:multi:101x1 sampling:multi:3x3x3 sampling:slide: sampling:slide:0 \
    sampling:slide:-1 sampling:slide:nan sampling:slide:1e-9 sampling:slide:1s rate:0 rate:100001 rate:-1 frames:0 \
    frames:1025 top:x top:-1 precision:f33 threads:257 threads:-1 threads:two batch:1025 cpu:z80 \
    progress:maybe; do
    run classify -m "$model" "$clip" "--${pair%%:*}" "${pair#*:}"
    expect_error 2 "--${pair%%:*}" "${pair#*:}"
    run classify -m "$model" "$clip" "--${pair%%:*}=${pair#*:}"
    expect_error 2 "--${pair%%:*}" "${pair#*:}"
done
for pair in pool:all layer:-1 layer:x layer:100001; do
    run embed -m "$model" "$clip" -o "$work/x.npy" "--${pair%%:*}" "${pair#*:}"
    expect_error 2 "--${pair%%:*}"
    expect_gone "$work/x.npy"
done
for flag in json logits quiet verbose resume; do
    run classify -m "$model" "$clip" --$flag=yes
    expect_error 2 "--$flag" yes
done

echo "options anywhere"
run classify -m "$model" --json "$clip"
expect_status 0
expect_quiet
expect_lines 1 input clip frames time top tokens macs ms
without_times <"$out" >"$work/first"
same() {
    expect_status 0
    expect_quiet
    without_times <"$out" | cmp -s - "$work/first" || fail "expected the same result"
}
run classify "$clip" --json -m "$model" && same
run classify "$clip" --json --model "$model" && same
run classify "--model=$model" "$clip" --json && same
run classify --json "-m$model" "$clip" && same
run classify -m "$model" --json --top=5 --sampling=center --threads=1 --batch=3 -- "$clip" && same
run classify --json -m "$model" --cpu best --precision auto --progress never -q "$clip" && same
cp "$clip" "$work/--json.npy"
cp "$clip" "$work/-o.npy"
here=$(pwd)
cd "$work" || exit 1
run classify -m "$model" --json -- --json.npy -o.npy
expect_status 0
expect_lines 2 input
[ "$("$json" get input <"$out" | tr '\n' ' ')" = "--json.npy -o.npy " ] || fail "expected both"
run classify -m "$model" --json.npy
expect_error 2 --json.npy
cd "$here" || exit 1

echo "results"
run classify -m "$model" --json --logits --top 2 "$clip" "$media/plain.mp4"
expect_status 0
expect_quiet
expect_lines 2 input clip frames time top logits tokens macs ms
run classify -m "$model" "$clip"
expect_status 0
expect_quiet
grep -q % "$out" || fail "expected probabilities"
run classify -m "$model" --json --sampling slide:0.2 "$media/plain.mp4"
expect_status 0
expect_lines 10 input clip frames time
[ "$("$json" get clip <"$out" | tr '\n' ' ')" = "0 1 2 3 4 5 6 7 8 9 " ] || fail "expected clips"
run classify -m "$model" --json --sampling multi:4x3 "$media/plain.mp4" "$clip"
expect_status 0
expect_lines 2 input
run classify -m "$model" --json --verbose "$clip"
expect_status 0
expect_own_words
expect_lines 1 input
for name in 'two
lines.npy' 'quote".npy' 'back\slash.npy' "$(printf 'no\377utf8.npy')" 'percent%s%n.npy' ' .npy'; do
    cp "$clip" "$work/$name"
    run classify -m "$model" --json "$work/$name"
    expect_status 0
    expect_quiet
    expect_lines 1 input
    rm "$work/$name"
    run classify -m "$model" --json "$work/$name"
    expect_error 1
done
run info --json -m "$model" "$clip"
expect_status 0
expect_quiet
expect_lines 2
run info -m "$model"
expect_status 0
expect_quiet

echo "output files"
run classify -m "$model" "$clip" -o "$work/result.jsonl"
expect_status 0
expect_quiet
expect_no_output
without_times <"$work/result.jsonl" | cmp -s - "$work/first" || fail "expected the same result"
[ ! -e "$work/result.jsonl.part" ] || fail "expected no part"
run embed -m "$model" "$clip" "$work/missing.mp4" "$clip" -o "$work/result.npy"
expect_error 1 "$work/missing.mp4"
grep -aq "'shape': (3, 40)" "$work/result.npy" || fail "expected a row for each input"
[ "$(wc -c <"$work/result.npy")" -eq $((128 + 3 * 40 * 4)) ] || fail "expected 3 rows of 40"
run embed -m "$model" "$clip" "$work/missing.mp4" -o "$work/result.jsonl"
expect_error 1 "$work/missing.mp4"
cp "$work/result.jsonl" "$out"
expect_lines 1 input clip time shape features
run embed -m "$model" "$clip" -o "$work/nowhere/result.npy"
expect_error 1 "$work/nowhere/result.npy"
mkdir "$work/directory.npy"
run embed -m "$model" "$clip" -o "$work/directory.npy"
expect_error 1 "$work/directory.npy"
[ -d "$work/directory.npy" ] || fail "expected the directory"
run embed -m "$model" --pool cls "$clip" -o "$work/none.npy" # VideoMAE has no class token
expect_error 1 cls
expect_gone "$work/none.npy"
run embed -m "$model" --layer 99 "$clip" -o "$work/none.npy"
expect_error 1 layer
expect_gone "$work/none.npy"
run classify -m "$golden/videomae_pretraining" "$clip" -o "$work/none.jsonl" # no classifier
expect_error 1 classifier
expect_gone "$work/none.jsonl"
# Pipes and devices are written to, not replaced.
mkfifo "$work/fifo"
cat "$work/fifo" >"$work/drained" &
reader=$!
run classify -m "$model" "$clip" -o "$work/fifo"
[ -p "$work/fifo" ] || fail "expected the pipe to stay a pipe"
: <>"$work/fifo" # lets the reader go where nobody wrote
wait $reader
expect_gone "$work/fifo.part"

echo "a full disk"
for arguments in "classify -m $model $clip" "classify -m $model --json $clip" "info -m $model" \
    "info $clip" "info --json $clip" "--help" "--version" "classify --help"; do
    command="vidette $arguments >/dev/full"
    status=0
    # shellcheck disable=SC2086
    "$vidette" $arguments >/dev/full 2>"$err" || status=$?
    expect_error 1 stdout
done
many=""
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do many="$many $clip"; done
for name in full.npy full.jsonl; do
    command="vidette embed ... -o $name with a limit on file sizes"
    status=0
    (
        trap '' XFSZ # the limit is an error of write(), as a full disk is
        ulimit -f 8
        # shellcheck disable=SC2086
        exec "$vidette" embed -m "$model" --pool none $many -o "$work/$name" 2>"$err"
    ) || status=$?
    expect_error 1 "$work/$name"
    expect_gone "$work/$name"
done
# The same with a file system that is full, where one can be made.
if unshare -Urm true 2>/dev/null && mkdir "$work/disk" &&
    unshare -Urm mount -t tmpfs -o size=64k none "$work/disk" 2>/dev/null; then
    command="vidette embed ... on a full file system"
    status=0
    # shellcheck disable=SC2086
    unshare -Urm sh -c '
        mount -t tmpfs -o size=64k none "$1/disk"
        disk=$1; shift
        "$@" -o "$disk/disk/full.npy"
        status=$?
        ls "$disk/disk" >"$disk/left"
        exit $status' sh "$work" "$vidette" embed -m "$model" --pool none $many 2>"$err" ||
        status=$?
    expect_error 1 "$work/disk/full.npy" "No space"
    [ ! -s "$work/left" ] || fail "expected nothing left"
fi

echo "signals"
# Non-interactive shells make their children ignore SIGINT; a terminal does not.
with_signals() {
    exec env --default-signal=INT,TERM "$@"
}
# The command is held up by a pipe that nobody drains, so that it cannot be done before the signal.
inputs="$work/inputs"
mkdir "$inputs"
good=""
i=0
while [ $i -lt 12 ]; do
    ln -s "$clip" "$inputs/good$i.npy"
    good="$good good$i.npy"
    i=$((i + 1))
done
absent=""
i=0
while [ $i -lt 1000 ]; do
    absent="$absent an_input_that_is_not_there_and_has_a_long_name_so_that_pipes_fill_soon_$i.mp4"
    i=$((i + 1))
done
list="$good $absent $good"
cd "$inputs" || exit 1
mkfifo "$work/pipe"

# interrupt SIGNAL ARGUMENT...: runs the command on the list, signals it after its first message.
interrupt() {
    signal=$1
    shift
    command="vidette $* LIST, then SIG$signal"
    # shellcheck disable=SC2086
    (with_signals "$vidette" "$@" $list >"$out" 2>"$work/pipe") &
    process=$!
    exec 3<"$work/pipe"
    read -r line <&3
    kill -"$signal" $process
    echo "$line" >"$err"
    cat <&3 >>"$err"
    exec 3<&-
    status=0
    wait $process || status=$?
    checks=$((checks + 1))
    expect_own_words
}
for trial in INT:130:npy TERM:143:jsonl; do
    signal=${trial%%:*}
    name=cut.${trial##*:}
    expected=${trial#*:}
    expected=${expected%:*}
    interrupt "$signal" classify -m "$model" --json
    expect_status "$expected"
    expect_lines 12 input # whole lines of those before the pipe was full
    interrupt "$signal" embed -m "$model" -o "$work/$name"
    expect_status "$expected"
    expect_gone "$work/$name"
    interrupt "$signal" embed -m "$model" --resume -o "$work/$name"
    expect_status "$expected"
    [ ! -e "$work/$name" ] || fail "expected no file yet"
    [ -s "$work/$name.part" ] && [ -s "$work/$name.part.json" ] || fail "expected the part"
    # shellcheck disable=SC2086
    run embed -m "$model" -o "$work/whole_$name" $list
    expect_status 1

    # Another command line begins anew.
    cp "$work/$name.part" "$work/other_$name.part"
    cp "$work/$name.part.json" "$work/other_$name.part.json"
    run embed -m "$model" --resume -o "$work/other_$name" good1.npy
    expect_status 0
    if grep -q "done before" "$err"; then fail "expected a new beginning"; fi

    # A note that lies is not believed.
    cp "$work/$name.part" "$work/lied_$name.part"
    sed 's/"inputs":[0-9]*/"inputs":99999999/' "$work/$name.part.json" >"$work/lied_$name.part.json"
    # shellcheck disable=SC2086
    run embed -m "$model" --resume -o "$work/lied_$name" $list
    expect_status 1
    expect_own_words
    cmp -s "$work/whole_$name" "$work/lied_$name" || fail "expected all inputs"

    # The same command line goes on, also behind bytes that no note knows of.
    printf 'torn' >>"$work/$name.part"
    # shellcheck disable=SC2086
    run embed -m "$model" --resume -o "$work/$name" $list
    expect_status 1
    expect_own_words
    grep -q "done before" "$err" || fail "expected to go on"
    cmp -s "$work/whole_$name" "$work/$name" || fail "expected the bytes of a whole run"
    [ ! -e "$work/$name.part" ] || fail "expected no part"
    [ ! -e "$work/$name.part.json" ] || fail "expected no note"
done

finish
