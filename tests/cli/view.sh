#!/bin/sh
# vidette view: pictures checked pixel by pixel against --indices, videos decoded again, mistakes.
set -u
. "$2/tests/cli/common.sh"

picture=$(dirname "$make_media")/picture_check
model=$source/tests/reduction/videomae
vivit=$source/tests/reduction/vivit
clip=$work/clip.npy
short=$work/short.npy
"$picture" clip 16 "$clip" && "$picture" clip 8 "$short" || exit 1

# sheet MODEL CLIP PREFIX KEPT MERGED OPTION...: the picture shows what --indices says.
sheet() {
    of=$1 input=$2 prefix=$3 kept=$4 merged=$5
    shift 5
    run classify -m "$of" "$input" --rate 1 --indices "$work/indices.json" "$@"
    expect_status 0
    run view -m "$of" "$input" --rate 1 -o "$work/sheet.png" "$@"
    expect_status 0
    expect_quiet
    expect_no_output
    check size "$work/sheet.png"
    [ "$found" = "1000 $((146 + 172 * (1 + kept + merged)))" ] || fail "expected as many sections, found $found"
    check sheet "$work/sheet.png" "$prefix" "$kept" "$merged" <"$work/indices.json"
}

echo "pictures"
sheet "$model" "$clip" 0 0 0
[ "$found" = "0 dropped, 0 merged" ] || fail "expected the dense clip, found $found"
sheet "$model" "$clip" 0 1 0 --rlt 0.1
case $found in "0 dropped"*) fail "expected dropped cells" ;; esac
sheet "$model" "$clip" 0 1 0 --rlt random:40:7
[ "$found" = "88 dropped, 0 merged" ] || fail "expected 88 dropped cells, found $found"
sheet "$model" "$clip" 0 0 1 --tome 12
case $found in *" 0 merged") fail "expected merged cells" ;; esac
sheet "$model" "$clip" 0 0 1 --tome 50
sheet "$model" "$clip" 0 1 1 --rlt 0.1 --tome 9
case $found in "0 dropped"* | *" 0 merged") fail "expected dropped and merged cells" ;; esac
sheet "$vivit" "$short" 1 1 1 --rlt 0.1 --tome 5

echo "several clips, a model without classes, JSON"
run view -m "$model" "$clip" "$clip" --rate 1 --rlt 0.1 --json -o "$work/two.png"
expect_status 0
expect_lines 2 input clip tokens macs
check size "$work/two.png"
[ "$found" = "1000 980" ] || fail "expected two pages of 490 rows, found $found"
run view -m "$golden/videomae_pretraining" "$golden/videomae_pretraining/source.npy" --tome 2 -o "$work/none.png"
expect_status 0
check size "$work/none.png"
run view -m "$model" "$work/nothing.npy" "$clip" -o "$work/one.png"
expect_error 1 nothing.npy
check size "$work/one.png"

echo "videos"
for suffix in mp4 mkv avi; do
    run view -m "$model" "$clip" "$clip" --rate 1 --rlt keep:40 --tome 4 -o "$work/film.$suffix"
    expect_status 0
    expect_quiet
    # The place that counts frames: the last of the first row of the first panel.
    check movie "$work/film.$suffix" 264 170 40
    [ "$(echo "$found" | head -n 1)" = "32 992 532" ] || fail "expected the frames of two clips, found $found"
    echo "$found" | awk 'NR > 1 { i = (NR - 2) % 16; d = $1 - 10 - 15 * i; if (d * d > 36) exit 1 }' ||
        fail "expected frames in their order, found $found"
    # The panel of what was kept: everything in the first tubelet, next to nothing later.
    check movie "$work/film.$suffix" 360 180 260
    echo "$found" | awk 'NR == 2 { first = $1 } NR == 12 { exit $1 < first / 2 ? 0 : 1 }' ||
        fail "expected dropped cells to be dark, found $found"
done

echo "mistakes"
run view -m "$model" "$clip"
expect_error 2 .png none
for name in sheet sheet.jpg png sheet.png.txt sheet.PNG; do
    run view -m "$model" "$clip" -o "$work/$name"
    expect_error 2 .png "$name"
done
run view -m "$model" -o "$work/sheet.png"
expect_error 2 INPUT
run view -m "$model" "$clip" --sampling multi:2x1 -o "$work/sheet.png"
expect_error 2 multi
run view -m "$model" "$clip" --resume -o "$work/sheet.png"
expect_error 2 --resume
for suffix in png mp4; do
    run view -m "$model" "$clip" -o "$work/no/such/place.$suffix"
    expect_error 1 "place.$suffix"
    echo "no clip" >"$work/text.npy"
    run view -m "$model" "$work/text.npy" -o "$work/failed.$suffix"
    expect_error 1 text.npy
    expect_gone "$work/failed.$suffix"
    run view -m "$golden/vit_classification" "$clip" -o "$work/failed.$suffix"
    expect_error 1 --update
    expect_gone "$work/failed.$suffix"
    mkdir "$work/folder.$suffix"
    run view -m "$model" "$clip" -o "$work/folder.$suffix"
    expect_error 1 "folder.$suffix"
    if [ -w /dev/full ]; then
        ln -s /dev/full "$work/full.$suffix"
        run view -m "$model" "$clip" -o "$work/full.$suffix"
        expect_error 1 "full.$suffix"
    fi
done
finish
