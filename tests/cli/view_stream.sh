#!/bin/sh
# vidette view of streams: pictures checked pixel by pixel against the clip and --json, videos decoded again,
# mistakes.
set -u
. "$2/tests/cli/common.sh"

picture=$(dirname "$make_media")/picture_check
model=$golden/vit_classification # 4 x 4 patches, a class token, 3 blocks
clip=$work/clip.npy
still=$work/still.npy
"$picture" clip 16 "$clip" && "$picture" still 16 "$still" || exit 1

# page MODEL CLIP GRID BLOCKS PREFIX WHICH FRAMES OPTION...: the picture shows what --json says.
page() {
    of=$1 input=$2 grid=$3 blocks=$4 prefix=$5 which=$6 frames=$7
    shift 7
    run view -m "$of" "$input" --precision f32 --json -o "$work/page.png" "$@"
    expect_status 0
    expect_quiet
    [ "$(wc -l <"$out")" -eq $((frames + 1)) ] || fail "expected $frames lines and a summary"
    check stream "$work/page.png" "$grid" "$blocks" "$prefix" "$which" <"$out"
}

echo "pictures"
page "$model" "$clip" 4 3 1 clip 16 --update threshold:0
case $found in "0 changed"* | *" 0 computed") fail "expected patches, found $found" ;; esac
check size "$work/page.png"
[ "$found" = "1000 1236" ] || fail "expected three sections and a curve, found $found"
page "$model" "$still" 4 3 1 still 16 --update threshold:0
[ "$found" = "0 changed, 0 computed" ] || fail "expected dark panels, found $found"
page "$model" "$clip" 4 3 1 other 16 --update top:2
[ "$found" != "0 changed, 0 computed" ] || fail "expected tokens"
page "$model" "$clip" 4 3 1 other 16 --update fraction:0.4 --attention delta --still off
page "$golden/dinov2_classification" "$clip" 4 2 1 other 16 --update top:3 --still auto --floor 0.01
page "$golden/vitdet_windows" "$clip" 5 4 0 other 16 --update top:4
page "$golden/siglip_vision" "$clip" 5 2 0 other 16 --update threshold:1 --attention tokenwise --max-wait 3

echo "few frames, many frames, snippets"
for frames in 1 3 5 17 40; do
    "$picture" clip "$frames" "$work/some.npy" || exit 1
    page "$model" "$work/some.npy" 4 3 1 clip "$frames" --update threshold:0
done
page "$golden/vivit_fe" "$clip" 4 2 1 other 8 --update top:4

echo "the same bytes again, on one thread and on two"
for threads in 1 2; do
    run view -m "$model" "$clip" --update top:3 --threads "$threads" -o "$work/again$threads.png"
    expect_status 0
    expect_no_output
done
cmp -s "$work/again1.png" "$work/again2.png" || fail "expected the same picture"

echo "several inputs, a deadline, one that cannot be read"
run view -m "$model" "$clip" "$still" --update top:3 -o "$work/two.png"
expect_status 0
check size "$work/two.png"
[ "$found" = "1000 2472" ] || fail "expected two pages, found $found"
run view -m "$model" "$clip" --budget 1000 -o "$work/budget.png"
expect_status 0
check size "$work/budget.png"
[ "$found" = "1000 1236" ] || fail "expected two curves beside each other, found $found"
run view -m "$model" "$work/nothing.npy" "$clip" --update top:3 -o "$work/one.png"
expect_error 1 nothing.npy
check size "$work/one.png"
[ "$found" = "1000 1236" ] || fail "expected the page of the other, found $found"

echo "videos"
for suffix in mp4 mkv avi; do
    run view -m "$model" "$clip" "$still" --update threshold:0 -o "$work/film.$suffix"
    expect_status 0
    expect_quiet
    # The place that counts frames, the last of the first row, is always among what changed.
    check movie "$work/film.$suffix" 262 168 50
    [ "$(echo "$found" | head -n 1)" = "32 992 746" ] || fail "expected the frames of two inputs, found $found"
    echo "$found" | awk 'NR > 1 && NR < 18 { d = $1 - 10 - 15 * (NR - 2); if (d * d > 36) exit 1 }' ||
        fail "expected frames in their order, found $found"
    # What was recomputed: all of a first frame, nothing of one that stands still.
    check movie "$work/film.$suffix" 344 158 300
    echo "$found" | awk 'NR == 18 { first = $1 } NR > 18 && $1 > first / 2 { exit 1 }' ||
        fail "expected dark frames after the first one, found $found"
done

echo "mistakes"
run view -m "$model" "$clip" --update top:3
expect_error 2 .png none
run view -m "$model" "$clip" --update top:3 -o "$work/page.gif"
expect_error 2 .png page.gif
run view -m "$model" --update top:3 -o "$work/page.png"
expect_error 2 INPUT
run view -m "$model" "$clip" --update some -o "$work/page.png"
expect_error 2 --update some
for option in "--rlt 0.1" "--tome 2" "--sampling uniform" "--rate 2" "--frames 4"; do
    # shellcheck disable=SC2086
    run view -m "$model" "$clip" --update top:3 $option -o "$work/page.png"
    expect_error 2 --update "${option%% *}"
done
for suffix in png mp4; do
    run view -m "$source/tests/reduction/videomae" "$clip" --update top:3 -o "$work/failed.$suffix"
    expect_error 1 update
    expect_gone "$work/failed.$suffix"
    run view -m "$model" "$clip" -o "$work/failed.$suffix"
    expect_error 1 --update
    expect_gone "$work/failed.$suffix"
    run view -m "$model" "$work/nothing.npy" --update top:3 -o "$work/failed.$suffix"
    expect_error 1 nothing.npy
    expect_gone "$work/failed.$suffix"
    run view -m "$model" "$clip" --update top:3 -o "$work/no/such/place.$suffix"
    expect_error 1 "place.$suffix"
    if [ -w /dev/full ]; then
        ln -s /dev/full "$work/full.$suffix"
        run view -m "$model" "$clip" --update top:3 -o "$work/full.$suffix"
        expect_error 1 "full.$suffix"
    fi
done
finish
