#!/bin/sh
# Reduction on the command line: options and their mistakes, token counts in JSON, --indices, packing,
# info and bench.
set -u
. "$2/tests/cli/common.sh"

model=$source/tests/reduction/videomae
clip=$model/source.npy
tokens() { "$json" get tokens <"$out"; }

echo "wrong usage"
for value in nan inf -0.1 x "" keep keep: keep:-1 keep:1x random:3:x random: 0.1x; do
    run classify -m "$model" "$clip" --rlt "$value"
    expect_error 2 --rlt
done
for value in x -1 1,2,x 1, ,1 5:2 5:nan 101% -1% % 5%5 "" 99999999999; do
    run classify -m "$model" "$clip" --tome="$value"
    expect_error 2 --tome
done
for pair in rlt-reference:next rlt-lengths:bias,,pool rlt-lengths:all rlt-lengths: tome-attention:yes; do
    run classify -m "$model" "$clip" "--${pair%%:*}=${pair#*:}"
    expect_error 2 "--${pair%%:*}"
done

echo "what a model cannot do"
run classify -m "$model" "$clip" --rlt keep:129
expect_error 1 "rlt keep" 128 129
run classify -m "$model" "$clip" --rlt keep:15
expect_error 1 "rlt keep" 16 15
run classify -m "$model" "$clip" --tome 1,2
expect_error 1 "tome list" 3 2
run classify -m "$golden/videomae_mean" "$golden/videomae_mean/source.npy" --rlt 0.1 --rlt-lengths embed
expect_error 1 rlt.length_embedding.weight

echo "counts"
run classify -m "$model" "$clip" --json --rate 1
expect_lines 1 tokens macs
cp "$out" "$work/dense"
[ "$(tokens)" = '{"total":128,"kept":128,"final":128,"layers":[128,128,128]}' ] || fail "expected all tokens"
for same in "--rlt off --tome off" "--rlt keep:128" "--tome 0" "--tome 0%" "--tome 0,0,0"; do
    run classify -m "$model" "$clip" --json --rate 1 $same
    without_times <"$out" >"$work/now"
    without_times <"$work/dense" | cmp -s - "$work/now" || fail "expected the dense result"
done
run classify -m "$model" "$clip" --json --rate 1 --rlt keep:40 --tome 7
[ "$(tokens)" = '{"total":128,"kept":40,"final":19,"layers":[33,26,19]}' ] || fail "expected 40 tokens, 7 fewer a block"
run classify -m "$model" "$clip" --rate 1 --rlt 0.1 --tome 5%
grep -q "tokens" "$out" || fail "expected the counts"
# D = 36, 3 blocks, MLP 56: (n + left) d + the linear layers with biases + 2 n n d, and n d for positions
run classify -m "$model" "$clip" --json --rate 1 --rlt keep:40 --tome 7 --macs eventful
[ "$("$json" get macs <"$out")" = "{\"dense\":7200768,\"done\":1099236}" ] || fail "expected the Eventful rule"
run info -m "$model" --json --rlt keep:40 --tome 7
expect_lines 1 macs macs_reduced tokens_kept tokens_final
[ "$("$json" get tokens_final <"$out")" = 19 ] || fail "expected what classify counts"
run embed -m "$model" "$clip" --rate 1 --tome 3 -o "$work/features.npy"
expect_status 0

echo "indices"
run classify -m "$model" "$clip" "$clip" --json --rate 1 --rlt 0.1 --tome 4 --indices "$work/indices.json"
expect_status 0
expect_quiet
cp "$work/indices.json" "$out"
expect_lines 2 input clip view kept lengths source tokens_left
[ "$(sed -n 1p "$out")" = "$(sed -n 2p "$out")" ] || fail "expected the same of the same clip"
run classify -m "$model" "$work/nothing.npy" "$clip" --json --rate 1 --indices "$work/one.json"
expect_status 1
[ "$(wc -l <"$work/one.json")" -eq 1 ] || fail "expected the line of the input that is there"
run classify -m "$work/no_model" "$clip" --indices "$work/none.json"
expect_status 1
expect_gone "$work/none.json"
run classify -m "$model" "$clip" --indices "$work/both.json" --resume
expect_error 2 --indices --resume
run classify -m "$model" "$clip" --indices "$work/no/such/place.json"
expect_error 1 place.json

echo "packing and threads, clips of different size"
other=$golden/videomae_mean/source.npy
run classify -m "$model" "$clip" "$other" "$clip" --json --logits --rate 1 --rlt 0.1 --tome 4 --batch 3 --threads 2
without_times <"$out" >"$work/packed"
run classify -m "$model" "$clip" "$other" "$clip" --json --logits --rate 1 --rlt 0.1 --tome 4 --batch 1 --threads 1
without_times <"$out" | cmp -s - "$work/packed" || fail "expected the same result packed and alone"
run classify -m "$model" "$clip" --json --rate 1 --sampling multi:2x1 --tome 4
[ "$("$json" get macs <"$out")" != "" ] || fail "expected the operations of both views"
[ "$(tokens)" = '{"total":256,"kept":256,"final":232,"layers":[248,240,232]}' ] || fail "expected both views"

echo "eval"
list=$work/list.csv
printf 'path,label,part\n%s,0,a\n%s,class 1,b\n%s,4,a\n' "$clip" "$clip" "$clip" >"$list"
run eval -m "$model" "$list" --rate 1 --sweep rlt=0.05,0.2 --sweep tome=0,4 --json
expect_status 0
expect_lines 13 kind rlt tome clips accuracy agreement cosine kept macs_done ms
run eval -m "$model" "$list" --part a --rate 1 --rlt keep:60 -o "$work/table.csv"
expect_status 0
[ "$(wc -l <"$work/table.csv")" -eq 5 ] || fail "expected dense, a method and two controls"
[ "$(wc -l <"$work/table.clips.csv")" -eq 9 ] || fail "expected four rows of each of two clips"
run eval -m "$model" "$list" --rlt keep:60 -o "$work/no/such/table.csv"
expect_error 1 table.clips.csv
grep -q "</svg>" "$work/table.svg" || fail "expected a picture"
expect_gone "$work/table.csv.part"
for arguments in "--sweep x=1" "--sweep rlt=1 --sweep rlt=2 --sweep tome=1" "--min-agreement 2" \
    "--sampling slide:1" "--write-recommendation --arch vit-tiny"; do
    run eval "$list" $arguments
    expect_error 2
done
run eval -m "$model" "$list" --sweep rlt=0.1,x
expect_error 1 --sweep x
printf 'path,label\n%s,nobody\n' "$clip" >"$work/wrong.csv"
run eval -m "$model" "$work/wrong.csv"
expect_error 1 "line 2" nobody
run eval -m "$model" "$work/none.csv"
expect_error 1 none.csv

run eval -m "$model" "$list" --rate 1 --rlt keep:60 --tome 4 --rlt-lengths bias,pool --json
expect_status 0
[ "$(grep -c '"kind":"plain"' "$out")" -eq 1 ] || fail "expected the control without run lengths"
expect_lines 5 kind
[ "$("$json" get cosine <"$out" | sed -n 3p)" != "$("$json" get cosine <"$out" | sed -n 4p)" ] || fail "expected run lengths to count"
run eval -m "$model" "$list" --rate 1 --rlt keep:60 --tome 4 --rlt-lengths bias,pool --json --macs eventful
[ "$("$json" get macs_dense <"$out" | head -1)" -eq 7200768 ] || fail "expected the Eventful rule"

echo "recommendations"
cp -r "$model" "$work/model"
run eval -m "$work/model" "$list" --rate 1 --tome 2 --precision f32 --min-agreement 0 --write-recommendation -q
expect_status 0
expect_quiet
"$json" lines rlt tome precision agreement clips <"$work/model/vidette.json" >/dev/null || fail "expected JSON"
printf '{"tome":"4","precision":"f32"}' >"$work/model/vidette.json"
run classify -m "$work/model" "$clip" --json --rate 1
[ "$(tokens)" = '{"total":128,"kept":128,"final":116,"layers":[124,120,116]}' ] || fail "expected what is recommended"
run classify -m "$work/model" "$clip" --json --rate 1 --rlt off
[ "$(tokens)" = '{"total":128,"kept":128,"final":128,"layers":[128,128,128]}' ] || fail "expected what was typed"
printf '{"tome":"four"}' >"$work/model/vidette.json"
run classify -m "$work/model" "$clip"
expect_error 1 vidette.json tome four
printf '{"precision":"f33"}' >"$work/model/vidette.json"
run classify -m "$work/model" "$clip"
expect_error 1 vidette.json precision f33
printf '{"rlt":3}' >"$work/model/vidette.json"
run classify -m "$work/model" "$clip"
expect_error 1 vidette.json rlt

echo "bench"
run bench -m "$model" --json --repeats 2 --rlt keep:40
expect_status 0
expect_lines 1 tokens macs ms ms_dense speedup rate_kept stages
finish
