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

echo "a first step costs what a dense one does"
for of in "$model" "$golden/vivit_fe"; do
    run stream -m "$of" --update top:3 --json "$clip"
    expect_status 0
    sed -n 's/.*"first":true.*"macs":{"dense":\([0-9]*\),"done":\([0-9]*\)}.*/\1 \2/p' "$out" >"$work/costs"
    read -r dense_cost done_cost <"$work/costs"
    [ "$dense_cost" = "$done_cost" ] || fail "expected equal costs, found $dense_cost and $done_cost"
done

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

echo "heads as wide as real ones, int8: everything picked is dense"
wide="--arch vit-tiny --size 64 --precision int8 --pool none"
run embed $wide --sampling slide:0.001 -o "$work/dense.npy" "$clip"
expect_status 0
run embed $wide --update all -o "$work/all.npy" "$clip"
expect_status 0
cmp -s "$work/dense.npy" "$work/all.npy" || fail "expected the dense bits"

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

echo "eval"
snippets=$golden/vivit_fe
list=$work/list.csv
printf 'path,label\n%s,0\n%s,1\n' "$snippets/source.npy" "$snippets/source.npy" >"$list"
value() { # KIND UPDATE KEY: of the row
    sed -n "s/^{\"kind\":\"$1\",\"update\":\"$2\",.*\"$3\":\([^,}]*\)[,}].*/\1/p" "$out"
}
run eval -m "$snippets" "$list" --precision f32 --json --sweep update=all,top:1000,top:4 --sweep attention=exact,delta,tokenwise
expect_status 0
expect_quiet
expect_lines 19 kind update attention clips accuracy low high agreement cosine updated macs_dense macs_done ms speedup
for update in all top:1000; do
    [ "$(value method $update agreement | grep -cx 1)" -eq 3 ] || fail "expected the dense answers of $update"
    value method $update cosine | awk '{ if ($1 < 0.99999) exit 1 }' || fail "expected the dense logits of $update"
done
[ "$(value method all updated | grep -cx 1)" -eq 3 ] || fail "expected every token"
[ "$(value frames all updated | grep -cx 1)" -eq 3 ] || fail "expected every snippet at the cost of all"
[ "$(value frames all macs_done | sort -u)" = "$(value dense off macs_dense)" ] || fail "expected the dense cost"
[ "$(value frames top:4 updated | sort -u)" = 0.666666666667 ] || fail "expected two snippets of three"

echo "eval: nothing picked is the first snippet held"
run eval -m "$snippets" "$list" --precision f32 --json --update top:0
expect_status 0
expect_lines 3 kind update attention
[ "$(value frames top:0 updated)" = 0.333333333333 ] || fail "expected one snippet of three"
[ "$(value method top:0 updated)" = 0.333333333333 ] || fail "expected the first step of each clip"
[ "$(value method top:0 cosine)" = "$(value frames top:0 cosine)" ] || fail "expected the logits of a held snippet"
[ "$(value method top:0 cosine)" != 1 ] || fail "expected other logits than the dense ones"

echo "eval: files"
run eval -m "$snippets" "$list" --attention delta --sweep update=top:2 --sweep attention=exact -o "$work/table.csv"
expect_status 0
head -n 1 "$work/table.csv" | grep -q '^kind,update,attention,.*,updated,macs_dense,' || fail "expected a heading"
[ "$(wc -l <"$work/table.csv")" -eq 4 ] || fail "expected dense, a method and its control"
grep -q '^method,top:2,exact,2,' "$work/table.csv" || fail "expected the sweep's attention"
[ "$(wc -l <"$work/table.clips.csv")" -eq 7 ] || fail "expected three rows of each of two clips"
grep -q '>tokenwise</text>' "$work/table.svg" || fail "expected a legend of attention"

echo "eval: without settings"
run eval -m "$snippets" "$list" --json
expect_status 0
expect_lines 1 kind clips accuracy

echo "eval: mistakes"
for sweep in update=top update=top:x update=fraction:2 update=threshold:-1 update=off update= attention=none; do
    run eval -m "$snippets" "$list" --sweep $sweep
    expect_error 1 --sweep "${sweep#*=}"
done
for arguments in "--update top:x" "--attention none" "--sweep update=all --sweep update=top:1" \
    "--sweep update=all --sweep rlt=0.1" "--update all --tome 1" "--update all --write-recommendation" \
    "--update all --macs eventful"; do
    run eval -m "$snippets" "$list" $arguments
    expect_error 2
done
run eval -m "$golden/videomae_mean" "$list" --update all
expect_error 1 update "single frames"
run eval -m "$model" "$list" --update all
expect_error 1 --update vivit_fe

echo "bench: the fewer patches change, the less is done"
before=0
for share in 0.1 0.5 1; do
    run bench --stream -m "$model" --update threshold:0 --moving "$share" --json
    expect_status 0
    expect_lines 1 arch macs ms gflops speedup rate_kept state_bytes
    grep -q "\"moving\":$share," "$out" || fail "expected the share that moves"
    done=$(sed 's/.*"done":\([0-9]*\).*/\1/' "$out")
    [ "$done" -gt "$before" ] || fail "expected more than $before operations, found $done"
    before=$done
done

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
for pair in update:top:3 moving:0.5; do
    run bench -m "$model" "--${pair%%:*}" "${pair#*:}"
    expect_error 2 "--${pair%%:*}" --stream
done
for share in 0 1.5 -1 nan x; do
    run bench --stream -m "$model" --update top:3 --moving "$share"
    expect_error 2 --moving
done

echo "$checks commands"
