#!/bin/sh
# What ships: the demo model on the sample clips, decoded and computed here, beside the logits that the
# reference model gave for them (test_logits.csv; PyAV, Pillow, transformers).
set -u
. "$2/tests/cli/common.sh"

share=$source/share
model=$share/fight-videomae-tiny

# agree PRECISION TOLERANCE: each logit of the four clips within the tolerance of the reference's, spread about 1.
agree() {
    for clip in "$share"/clips/*.mp4; do
        name=$(basename "$clip")
        expected=$(grep "/$name," "$model/test_logits.csv" | cut -d , -f 2-)
        run classify -m "$model" --precision "$1" --json --logits "$clip"
        expect_status 0
        found=$(sed 's/.*"logits":\[\([^]]*\)\].*/\1/' "$out")
        echo "$expected,$found" | awk -F , -v most="$2" '
            { for (i = 1; i <= 2; i++) { d = $i - $(i + 2); if (!(d <= most && -d <= most)) exit 1 }
              exit NF == 4 && ($1 > $2) == ($3 > $4) ? 0 : 1 }' ||
            fail "$name in $1: expected logits $expected, found $found"
    done
}

agree f32 5e-5
agree bf16 0.05
agree int8 0.1

# The model with RLT in the loop follows its recommendation: tokens kept and logits as PyTorch has them
# (scripts/train_rlt.py; float32).
for clip in "$share"/clips/*.mp4; do
    expected=$(grep "/$(basename "$clip")," "$share/fight-videomae-tiny-rlt/sample_logits.csv" | cut -d , -f 2-)
    run classify -m "$share/fight-videomae-tiny-rlt" --precision f32 --json --logits "$clip"
    expect_status 0
    found=$(sed 's/.*"logits":\[\([^]]*\)\].*"kept":\([0-9]*\).*/\2,\1/' "$out")
    echo "$expected,$found" | awk -F , '
        { for (i = 1; i <= 3; i++) { d = $i - $(i + 3); if (!(d <= 5e-5 && -d <= 5e-5)) exit 1 }; exit NF != 6 }' ||
        fail "$clip with RLT: expected $expected, found $found"
done

command="vidette classify (no -m)"
run classify --precision f32 "$share/clips/fi003.mp4"
expect_status 0
grep -q '94.3 %  fight' "$out" || fail "expected the model that ships to be found"
finish
