#!/bin/sh
# Bad models: the right exit status, one clear line, no partial output.
set -u
. "$2/tests/cli/common.sh"

media=$work/media
"$make_media" "$media" || exit 1

# copy_model NAME: a model directory of our own, in $model.
copy_model() {
    model=$work/model
    rm -rf "$model"
    cp -r "$golden/$1" "$model"
    chmod -R u+w "$model"
}

echo "directories that are no models"
run info -m "$work/nowhere"
expect_error 1 "$work/nowhere" "model directory"
run info -m "$media/plain.mp4"
expect_error 1 "$media/plain.mp4" "model directory"
mkdir "$work/bare"
run info -m "$work/bare"
expect_error 1 "$work/bare/config.json"
for text in '' '{' '[]' '3' '"text"' 'null' '{"model_type": 3}' '{"model_type": {}}' \
    '{"a": 1, "a": 2}' '{"model_type": "videomae"'; do
    copy_model videomae_mean
    printf '%s' "$text" >"$model/config.json"
    run info -m "$model"
    expect_error 1 "$model/config.json"
done
for type in '"squeezenet"' '""' -; do
    copy_model videomae_mean
    "$json" set model_type "$type" <"$golden/videomae_mean/config.json" >"$model/config.json"
    run info -m "$model"
    expect_error 1 model_type videomae vivit vit deit dinov2 siglip clip
done
copy_model videomae_mean
rm "$model/config.json"
mkdir "$model/config.json"
run info -m "$model"
expect_error 1 "$model/config.json"

# A failing model leaves what was there before.
echo before >"$work/kept.jsonl"
run embed -m "$work/nowhere" "$media/array.npy" -o "$work/kept.jsonl"
expect_error 1 "$work/nowhere"
[ "$(cat "$work/kept.jsonl")" = before ] || fail "expected the old file"
[ ! -e "$work/kept.jsonl.part" ] || fail "expected no part"

echo "fields of the config"
read_keys="hidden_size num_hidden_layers num_attention_heads intermediate_size layer_norm_eps
image_size patch_size num_channels num_frames tubelet_size"
copy_model videomae_mean
for key in $("$json" numbers <"$golden/videomae_mean/config.json"); do
    values='-1 9223372036854775807 "text" {} [] true 0 1 1.5 1e300 [1,2,3,4] null'
    case " $(echo $read_keys) " in
    *" $key "*) is_read=yes ;;
    *) is_read=no values='-1 "text"' ;;
    esac
    for value in $values; do
        "$json" set "$key" "$value" <"$golden/videomae_mean/config.json" >"$model/config.json"
        run info -m "$model"
        command="$command with $key $value"
        [ $is_read = yes ] || expect_status 0
        [ "$status" -eq 0 ] || expect_error 1 "$model"
        case "$is_read $value" in
        "yes -1" | "yes 9"* | 'yes "text"' | "yes {}" | "yes 1e300") expect_error 1 "$key" ;;
        esac
    done
done
for key in $("$json" numbers <"$golden/videomae_mean/preprocessor_config.json"); do
    copy_model videomae_mean
    for value in -1 9223372036854775807 '"text"' '{}' true; do
        [ "$key $value" != "image_mean -1" ] || continue # a mean may be
        "$json" set "$key" "$value" <"$golden/videomae_mean/preprocessor_config.json" \
            >"$model/preprocessor_config.json"
        run info -m "$model"
        command="$command with $key $value"
        expect_error 1 "$key"
    done
done
for size in 0 -1 9223372036854775807 '"text"' '{}' '[1]' '[1, 2, 3]' '{"shortest_edge": 0}' \
    '{"shortest_edge": -3}' '{"height": 4}' '{"height": "a", "width": 3}' true; do
    copy_model videomae_mean
    for key in size crop_size; do
        "$json" set "$key" "$size" <"$golden/videomae_mean/preprocessor_config.json" \
            >"$model/preprocessor_config.json"
        run info -m "$model"
        command="$command with $key $size"
        [ "$status" -eq 0 ] || expect_error 1 "$model"
        [ "$key" != size ] || expect_error 1 preprocessor_config.json
    done
done
for key in do_resize do_center_crop do_rescale do_normalize; do
    copy_model videomae_mean
    "$json" set "$key" 3 <"$golden/videomae_mean/preprocessor_config.json" \
        >"$model/preprocessor_config.json"
    run info -m "$model"
    expect_error 1 "$key"
done

echo "labels"
for labels in '{"0": "a"}' '{"0": "a", "1": "b", "2": "c", "3": "d"}' \
    '{"0": "a", "1": "b", "2": "c", "3": "d", "4": "e", "5": "f"}' \
    '{"0": "a", "1": "b", "2": "c", "3": "d", "5": "e"}' \
    '{"0": "a", "1": "b", "2": "c", "3": "d", "-1": "e"}' \
    '{"0": "a", "1": "b", "2": "c", "3": "d", "04": "e"}' \
    '{"0": "a", "1": "b", "2": "c", "3": "d", "4": 5}' \
    '{"0": "a", "1": "b", "2": "c", "3": "d", "99999999999999999999": "e"}' '["a"]' '"a"' 5; do
    copy_model videomae_mean
    "$json" set id2label "$labels" <"$golden/videomae_mean/config.json" >"$model/config.json"
    run info -m "$model"
    expect_error 1 label
done
for number in 3 6 -1 '"text"' 9223372036854775807; do
    copy_model videomae_mean
    "$json" set id2label - <"$golden/videomae_mean/config.json" |
        "$json" set num_labels "$number" >"$model/config.json"
    run info -m "$model"
    expect_error 1 label
done

echo "weights"
weights=$golden/videomae_mean/model.safetensors
classifier=classifier.weight
copy_model videomae_mean
rm "$model/model.safetensors"
run info -m "$model"
expect_error 1 "$model" model.safetensors
printf 'PK\003\004' >"$model/pytorch_model.bin"
run info -m "$model"
expect_error 1 "$model" pickle scripts/convert_weights.py
: >"$model/model.safetensors"
run info -m "$model"
expect_error 1 "$model/model.safetensors"
# A pickle under the other name is still no safetensors file.
printf '\200\002}q\000.aaaaaaaaaaaaaaaaaaaaaaa' >"$model/model.safetensors"
run info -m "$model"
expect_error 1 "$model/model.safetensors"
rm "$model/pytorch_model.bin"
for kind in $("$edit" "$weights" - lies); do
    "$edit" "$weights" "$model/model.safetensors" lie "$kind" || exit 1
    run info -m "$model"
    expect_error 1 "$model"
done
turn=0
for name in $("$edit" "$weights" - names); do
    bare=${name#videomae.}
    "$edit" "$weights" "$model/model.safetensors" fill "$name" nan || exit 1
    run info -m "$model"
    expect_error 1 "$bare" NaN
    "$edit" "$weights" "$model/model.safetensors" drop "$name" || exit 1
    run info -m "$model"
    case $name in
    # A model without a classifier is a model; so is one without the norm before it.
    classifier.weight | fc_norm.weight) expect_error 1 "${name%.weight}" ;;
    *) expect_error 1 "$bare" ;;
    esac
    turn=$(((turn + 1) % 5))
    [ $turn -eq 1 ] || continue # the rest for every fifth
    for value in inf -inf; do
        "$edit" "$weights" "$model/model.safetensors" fill "$name" $value || exit 1
        run info -m "$model"
        expect_error 1 "$bare" infinity
    done
    "$edit" "$weights" "$model/model.safetensors" shape "$name" 1,2,3 || exit 1
    run info -m "$model"
    expect_error 1 "$bare"
    "$edit" "$weights" "$model/model.safetensors" dtype "$name" I32 || exit 1
    run info -m "$model"
    expect_error 1 "$bare"
done
for type in f16 bf16; do
    model=$work/model
    case $type in
    f16) copy_model vit_f16 && other=$golden/vit_f16/model.safetensors ;;
    bf16) copy_model videomae_bf16 && other=$golden/videomae_bf16/model.safetensors ;;
    esac
    for value in nan inf; do
        "$edit" "$other" "$model/model.safetensors" fill $classifier $value || exit 1
        run info -m "$model"
        expect_error 1 $classifier NaN
    done
done
# Finite weights whose products are not.
copy_model videomae_mean
"$edit" "$weights" "$work/huge.safetensors" fill fc_norm.weight 3e38 || exit 1
"$edit" "$work/huge.safetensors" "$model/model.safetensors" fill $classifier 3e38 || exit 1
run classify -m "$model" --json "$media/array.npy"
expect_error 1 NaN
expect_no_output
copy_model videomae_mean
"$edit" "$weights" "$model/model.safetensors" copy $classifier surprising || exit 1
run info -m "$model"
expect_error 1 surprising unknown
"$edit" "$weights" "$model/model.safetensors" copy $classifier videomae.$classifier || exit 1
run info -m "$model"
expect_error 1 $classifier twice
block=videomae.encoder.layer.0.layernorm_before.weight
for number in 3 99 00 -1 18446744073709551616; do # the model has blocks 0..2
    "$edit" "$weights" "$model/model.safetensors" copy $block \
        "videomae.encoder.layer.$number.layernorm_before.weight" || exit 1
    run info -m "$model"
    expect_error 1 "layer.$number."
done

echo "shards"
index=model.safetensors.index.json
copy_model videomae_sharded
run info -m "$model"
expect_status 0
shard=$(cd "$model" && ls model-0*.safetensors | head -n 1)
mv "$model/$shard" "$work/$shard"
run info -m "$model"
expect_error 1 "$shard"
mv "$work/$shard" "$model/$shard"
good=$golden/videomae_sharded/$index
name=$("$edit" "$model/$shard" - names | head -n 1)
other=$(cd "$model" && ls model-0*.safetensors | tail -n 1)
for map in '{}' '[]' '"a"' - "{\"$name\": 3}" "{\"$name\": null}" "{\"$name\": \"\"}" \
    "{\"$name\": \"../$shard\"}" "{\"$name\": \"$model/$shard\"}" "{\"$name\": \".hidden\"}" \
    "{\"$name\": \"nothing.safetensors\"}" "{\"$name\": \"$other\"}" \
    "{\"surprising\": \"$shard\"}" "{\"$name\": \"$shard\"}"; do
    "$json" set weight_map "$map" <"$good" >"$model/$index"
    run info -m "$model"
    expect_error 1 "$model"
done
for text in '' '{' '[]' '{"weight_map"'; do
    printf '%s' "$text" >"$model/$index"
    run info -m "$model"
    expect_error 1 "$model"
done

finish
