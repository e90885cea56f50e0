#!/bin/sh
# Bad inputs: the right exit status, one clear line, no partial output.
set -u
. "$2/tests/cli/common.sh"

media=$work/media
"$make_media" "$media" || exit 1
clip_model=$golden/videomae_mean
image_model=$golden/vit_classification

echo "inputs that cannot be read"
: >"$work/empty.mp4"
: >"$work/empty.npy"
echo "no video" >"$work/text.mp4"
mkdir "$work/bare" "$work/letters"
echo "text" >"$work/letters/a.txt"
head -c 6000 "$media/plain.mp4" >"$work/no_index.mp4"
head -c 100 "$media/array.npy" >"$work/header.npy"
head -c 5000 "$media/array.npy" >"$work/cut.npy"
printf '\223NUMPY\1\0\6\0{"a":}' >"$work/wrong.npy"
printf '\223NUMPY\1\0\377\377{}' >"$work/long.npy"
for name in missing.mp4 missing.npy missing/missing.png empty.mp4 empty.npy text.mp4 bare letters \
    no_index.mp4 header.npy cut.npy wrong.npy long.npy media/sound.wav; do
    run classify -m "$clip_model" --json "$work/$name"
    expect_error 1 "$work/$name"
    expect_no_output
    run info "$work/$name"
    expect_error 1 "$work/$name"
    expect_no_output
    run embed -m "$image_model" "$work/$name" -o "$work/result.jsonl"
    expect_error 1 "$work/$name"
    rm -f "$work/result.jsonl"
done
run classify -m "$clip_model" /dev/null
expect_error 1 /dev/null
run classify -m "$clip_model" ""
expect_status 1
expect_own_words

echo "inputs between others"
run classify -m "$clip_model" --json "$media/plain.mp4" "$work/missing.mp4" "$media/odd.mp4"
expect_error 1 "$work/missing.mp4"
expect_lines 2 input clip frames time top tokens macs ms
[ "$("$json" get input <"$out")" = "$media/plain.mp4
$media/odd.mp4" ] || fail "expected the two good inputs in order"
run info --json "$media/plain.mp4" "$work/missing.mp4" "$media/odd.mp4"
expect_error 1 "$work/missing.mp4"
expect_lines 2 input frames

echo "unusual inputs that can be read"
for name in plain.mp4 variable.mp4 turned90.mp4 one.mp4 pixel.mp4 wide.mp4 odd.mp4 plain.mkv \
    plain.avi plain.ts plain.mov plain.gif rgb24.png rgb48be.png rgba.png gray.png gray16be.png \
    ya8.png pal8.png frames array.npy; do
    for model in "$clip_model" "$image_model"; do
        run classify -m "$model" --json --logits "$media/$name"
        expect_status 0
        expect_quiet
        expect_lines 1 input clip frames time top logits tokens macs ms
        if grep -q null "$out"; then fail "expected numbers, found null"; fi
    done
    run info --json "$media/$name"
    expect_status 0
    expect_quiet
    expect_lines 1 input container codec width height frames
done

echo "cut files"
bytes=$(wc -c <"$media/front.mp4")
for percent in 30 60 90; do
    head -c $((bytes * percent / 100)) "$media/front.mp4" >"$work/cut.mp4"
    run classify -m "$clip_model" --json "$work/cut.mp4"
    expect_error 0 "$work/cut.mp4" "missing"
    expect_lines 1 lost
    run classify -m "$clip_model" --json --quiet "$work/cut.mp4"
    expect_status 0
    expect_quiet
    run info --json "$work/cut.mp4"
    expect_status 0
    lost=$("$json" get lost <"$out")
    frames=$("$json" get frames <"$out")
    [ "$lost" -gt 0 ] && [ $((lost + frames)) -eq 50 ] || fail "expected lost + frames = 50"
done

echo "damaged files"
for name in plain.mp4 plain.mkv plain.avi plain.ts plain.gif rgb24.png array.npy; do
    bytes=$(wc -c <"$media/$name")
    for step in 1 2 3 4 5 6; do
        damaged=$work/damaged.${name##*.}
        cp "$media/$name" "$damaged"
        for place in 3 11 37; do
            at=$(((step * 7919 * place + step * step * 131) % bytes))
            printf '\252' | dd of="$damaged" bs=1 seek="$at" conv=notrunc 2>/dev/null
        done
        run classify -m "$clip_model" --json --quiet "$damaged"
        expect_own_words
        if [ "$status" -eq 0 ]; then
            expect_lines 1 input frames
        else
            expect_error 1 "$damaged"
        fi
    done
done

finish
