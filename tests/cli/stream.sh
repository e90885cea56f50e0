#!/bin/sh
# vidette stream, embed --update and bench --stream: lines, summaries, snapshots, wrong usage.
set -u
. "$2/tests/cli/common.sh"

media=$work/media
"$make_media" "$media" || exit 1
model=$golden/vit_classification
clip=$media/array.npy

lines_of() { # PATTERN: lines of stdout that hold it
    grep -c -e "$1" "$out"
}

echo "a line a frame, then a summary"
run stream -m "$model" --update top:3 --json "$clip"
expect_status 0
expect_quiet
frames=$(lines_of '^{"frame":')
[ "$frames" -ge 2 ] || fail "expected some frames"
[ "$(lines_of '^{"summary":')" -eq 1 ] || fail "expected one summary"
[ "$(lines_of '"first":true')" -eq 1 ] || fail "expected one first frame"
[ "$(lines_of '"r":3')" -eq "$frames" ] || fail "expected r in every line"
grep -q "\"summary\":{\"frames\":$frames," "$out" || fail "expected the number of frames"
for key in time top tokens changed updated macs dense done ms decode total p50 p95 p99 max missed \
    speedup_macs rss_bytes state_bytes; do
    grep -q "\"$key\":" "$out" || fail "expected the key $key"
done

echo "everything recomputed is the dense model"
run stream -m "$model" --update all --logits --precision f32 --json "$clip"
expect_status 0
grep -o '"logits":\[[^]]*\]' "$out" >"$work/stream_logits"
run classify -m "$model" --sampling slide:0.001 --logits --precision f32 --json "$clip"
expect_status 0
grep -o '"logits":\[[^]]*\]' "$out" >"$work/dense_logits"
cmp -s "$work/stream_logits" "$work/dense_logits" || fail "expected the logits of classify"

echo "features of all frames"
run embed -m "$model" --update threshold:0 --pool mean --precision f32 --json -o "$work/a.npy" "$clip"
expect_status 0
[ "$(lines_of '^{"frame":')" -eq "$frames" ] || fail "expected a line a frame"
[ "$(lines_of '"top"')" -eq 0 ] || fail "expected no classes"
run embed -m "$model" --sampling slide:0.001 --pool mean --precision f32 -o "$work/b.npy" "$clip"
expect_status 0
[ "$(wc -c <"$work/a.npy")" -eq "$(wc -c <"$work/b.npy")" ] || fail "expected as many rows as dense"

echo "snapshots"
run stream -m "$model" --update top:3 --state "$work/state" --json "$clip"
expect_status 0
[ -s "$work/state" ] || fail "expected a snapshot"
run stream -m "$model" --update top:3 --state "$work/state" --json "$clip"
expect_status 0
[ "$(lines_of '"first":true')" -eq 0 ] || fail "expected the stream to go on"
run stream -m "$model" --update top:3 --attention tokenwise --state "$work/state" "$clip"
expect_error 1 "$work/state" snapshot
printf 'x' >"$work/short"
run stream -m "$model" --update top:3 --state "$work/short" "$clip"
expect_error 1 "$work/short" snapshot

run stream -m "$model" --state "$work/none/state" "$clip"
expect_error 1 "$work/none/state" "cannot be written"
expect_no_output

echo "a missing camera, frames of another size, time that leaps back"
run stream -m "$model" /dev/video-none
expect_error 1 /dev/video-none
logits() {
    run stream -m "$model" --update all --logits --precision f32 --json "$@"
    expect_status 0
    grep -o '"logits":\[[^]]*\]' "$out"
}
cat "$media/small.mjpeg" "$media/large.mjpeg" >"$work/both.mjpeg"
logits "$work/both.mjpeg" >"$work/found"
{ logits "$media/small.mjpeg" && logits "$media/large.mjpeg"; } >"$work/expected"
[ "$(wc -l <"$work/found")" -eq 12 ] || fail "expected every frame"
cmp -s "$work/found" "$work/expected" || fail "expected each frame to be scaled by itself"
cat "$media/plain.ts" "$media/plain.ts" >"$work/twice.ts"
run stream -m "$model" --realtime --json "$work/twice.ts"
expect_status 0
[ "$(lines_of '^{"frame":')" -ge 40 ] || fail "expected the second half to be seen"

echo "a deadline, real time, a file of lines, text"
run stream -m "$model" --budget 1000 --realtime --json "$clip"
expect_status 0
grep -q '"r":' "$out" || fail "expected r"
run stream -m "$model" --update fraction:0.5 --still auto --max-wait 5 --floor 0.1 -o "$work/lines" "$clip"
expect_status 0
expect_no_output
grep -q '"summary"' "$work/lines" || fail "expected a summary in the file"
run stream -m "$model" "$clip"
expect_status 0
grep -q 'patches changed' "$out" || fail "expected words"
run stream -m "$golden/vivit_fe" --update top:4 --json "$media/array.npy"
expect_status 0

echo "wrong usage"
run stream -m "$model"
expect_error 2 INPUT
run stream -m "$model" "$clip" "$clip"
expect_error 2 "one INPUT"
for pair in update:top update:top:x update:fraction:2 update:threshold:-1 floor:nan still:x \
    max-wait:-1 attention:none budget:0 macs:x; do
    run stream -m "$model" "--${pair%%:*}" "${pair#*:}" "$clip"
    expect_error 2 "--${pair%%:*}"
done
run stream -m "$golden/videomae_mean" --update top:3 "$clip"
expect_error 1 update
run bench --stream --arch vit-tiny
expect_error 2 --update

echo "$checks commands"
