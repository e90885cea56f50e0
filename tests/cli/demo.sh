#!/bin/sh
# What ships: the two models on the sample clips, decoded and computed here, beside the logits that the
# reference models gave for them (test_logits.csv; PyAV, Pillow, transformers or scripts/factorised.py).
set -u
. "$2/tests/cli/common.sh"

share=$source/share

# agree MODEL PRECISION TOLERANCE: each logit of the four clips within the tolerance of the reference's, spread about 1.
agree() {
    for clip in "$share"/clips/*.mp4; do
        name=$(basename "$clip")
        expected=$(grep "/$name," "$share/$1/test_logits.csv" | cut -d , -f 2-)
        run classify -m "$share/$1" --precision "$2" --json --logits "$clip"
        expect_status 0
        found=$(sed 's/.*"logits":\[\([^]]*\)\].*/\1/' "$out")
        echo "$expected,$found" | awk -F , -v most="$3" '
            { for (i = 1; i <= 2; i++) { d = $i - $(i + 2); if (!(d <= most && -d <= most)) exit 1 }
              exit NF == 4 && ($1 > $2) == ($3 > $4) ? 0 : 1 }' ||
            fail "$1: $name in $2: expected logits $expected, found $found"
    done
}

agree fight-videomae-tiny f32 5e-5
agree fight-videomae-tiny bf16 0.05
agree fight-videomae-tiny int8 0.1
agree fight-vivit-tiny f32 1e-5
agree fight-vivit-tiny bf16 0.05
agree fight-vivit-tiny int8 0.1

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
