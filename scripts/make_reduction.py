#!/usr/bin/env python3
"""Makes tests/reduction/: what RLT and ToMe do, computed in double by the NumPy twins in ref/.

    python scripts/make_reduction.py

tests/reduction/videomae and vivit are tiny random models with clips longer than those of tests/golden: a
still, noisy background, a moving square, a lamp that fades in by steps below the threshold, a
sensor's noise in the upper rows. The image
models are those of tests/golden. expected.safetensors holds, for every setting of SETTINGS, float32

    NAME.kept, NAME.lengths    token indices in (t, h, w) order and the run lengths of the kept
    NAME.source                (N) the row after the last block that stands for each token
    NAME.layers                (L) tokens left after each block
    NAME.logits                (labels); of siglip_vision, which has none, the pooled output

tests/unit/test_reduction.c runs the same settings. Needs NumPy only.
"""
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "reduction"
sys.path.insert(0, str(ROOT / "ref"))

import reduced  # noqa: E402 (the line above makes it findable)


def rlt(**fields):
    return {"rlt": fields}


def tome(merges, proportional):
    return {"tome": {"merges": merges, "proportional": proportional}}


CLIPS = {  # the settings of both clip models
    "threshold": rlt(tau=0.1),
    "previous": rlt(tau=0.1, reference="previous"),
    "zero": rlt(tau=0.0),
    "bias": rlt(tau=0.1, lengths=["bias"]),
    "pool": rlt(tau=0.1, lengths=["pool"]),
    "embed": rlt(tau=0.1, lengths=["embed"]),
    "all": rlt(tau=0.2, lengths=["bias", "pool", "embed"]),
    "keep": rlt(keep=40),
    "random": rlt(random=40, seed=7),
    "merge": tome((5, 0.0), False),
    "merge_proportional": tome((5, 0.0), True),
    "merge_falling": tome((6, -0.5), True),
    "merge_percent": tome("12.5%", True),
    "both": rlt(tau=0.1) | tome((7, 0.0), True),
    "both_weighted": rlt(tau=0.1, lengths=["bias", "pool"]) | tome((7, 0.0), False),
}
IMAGES = {"merge": tome((2, 0.0), True), "merge_plain": tome((1, 1.0), False), "merge_half": tome("50%", True)}
IMAGE_MODELS = ("vit_classification", "deit_with_teacher", "dinov2_classification", "siglip_vision")

# ---- tiny models --------------------------------------------------------------------------------------


def write_safetensors(path, tensors):
    header, offset, blocks = {}, 0, []
    for name, values in tensors.items():
        data = np.ascontiguousarray(values).tobytes()
        kind = {"float16": "F16", "float32": "F32"}[str(values.dtype)]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        blocks.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blocks))


def draw(rng, *shape):
    """Matrices with variance 1 / fan-in, norms around 1, vectors of 0.2; in f16, which files keep exactly."""
    spread = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 and shape[0] > 1 else 0.2
    return (rng.standard_normal(shape) * spread).astype(np.float16)


def block_tensors(rng, at, D, M, names):
    tensors = {}
    for name, shape in ((names["q"], (D, D)), (names["k"], (D, D)), (names["v"], (D, D)),
                        ("attention.output.dense", (D, D)), ("intermediate.dense", (M, D)), ("output.dense", (D, M))):
        tensors[f"{at}{name}.weight"] = draw(rng, *shape)
        tensors[f"{at}{name}.bias"] = draw(rng, shape[0])
    for norm in ("layernorm_before", "layernorm_after"):
        tensors[f"{at}{norm}.weight"] = draw(rng, D) + np.float16(1)
        tensors[f"{at}{norm}.bias"] = draw(rng, D)
    return tensors


def common_tensors(rng, prefix, config, T):
    D, M, p, s = config["hidden_size"], config["intermediate_size"], 8, 2
    names = {key: f"attention.attention.{long}" for key, long in (("q", "query"), ("k", "key"), ("v", "value"))}
    tensors = {f"{prefix}embeddings.patch_embeddings.projection.weight": draw(rng, D, 3, s, p, p),
               f"{prefix}embeddings.patch_embeddings.projection.bias": draw(rng, D)}
    for i in range(config["num_hidden_layers"]):
        tensors |= block_tensors(rng, f"{prefix}encoder.layer.{i}.", D, M, names)
    tensors["classifier.weight"], tensors["classifier.bias"] = draw(rng, 5, D), draw(rng, 5)
    tensors["rlt.length_embedding.weight"] = draw(rng, T // s, D)
    return tensors


CONFIG = {"hidden_size": 36, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 56,
          "image_size": 32, "num_channels": 3, "id2label": {str(i): f"class {i}" for i in range(5)}}


def write_model(directory, config, tensors, processor):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (directory / "preprocessor_config.json").write_text(json.dumps(processor, indent=1) + "\n")
    write_safetensors(directory / "model.safetensors", tensors)


def make_videomae(directory, rng):
    config = CONFIG | {"model_type": "videomae", "patch_size": 8, "tubelet_size": 2, "num_frames": 16,
                       "hidden_act": "gelu", "layer_norm_eps": 1e-12, "use_mean_pooling": True}
    tensors = common_tensors(rng, "videomae.", config, 16)
    # Keys have no bias in published files; queries and values have theirs under names of their own.
    at = "videomae.encoder.layer.{}.attention.attention."
    for i in range(3):
        tensors[at.format(i) + "q_bias"] = tensors.pop(at.format(i) + "query.bias")
        tensors[at.format(i) + "v_bias"] = tensors.pop(at.format(i) + "value.bias")
        del tensors[at.format(i) + "key.bias"]
    tensors["fc_norm.weight"], tensors["fc_norm.bias"] = draw(rng, 36) + np.float16(1), draw(rng, 36)
    write_model(directory, config, tensors, {
        "image_processor_type": "VideoMAEImageProcessor", "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32}, "rescale_factor": 1 / 255,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]})


def make_vivit(directory, rng):
    config = CONFIG | {"model_type": "vivit", "tubelet_size": [2, 8, 8], "patch_size": 8, "num_frames": 8,
                       "hidden_act": "gelu_fast", "layer_norm_eps": 1e-6}
    tensors = common_tensors(rng, "vivit.", config, 8)
    tensors["vivit.embeddings.cls_token"] = draw(rng, 1, 1, 36)
    tensors["vivit.embeddings.position_embeddings"] = draw(rng, 1, 65, 36)
    tensors["vivit.layernorm.weight"], tensors["vivit.layernorm.bias"] = draw(rng, 36) + np.float16(1), draw(rng, 36)
    write_model(directory, config, tensors, {
        "image_processor_type": "VivitImageProcessor", "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32}, "rescale_factor": 1 / 127.5, "offset": True,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]})


def make_clip(T, rng):
    """(T, 32, 32, 3): the scene of the text above."""
    still = rng.integers(60, 180, (32, 32, 3))
    frames = np.repeat(still[None], T, 0)
    for t in range(T):
        frames[t, :8, 8:24] = np.clip(still[:8, 8:24] + t, 0, 255)  # the lamp: below tau a tubelet
        x = (3 * t) % 24
        frames[t, 16:24, x:x + 8] = 230 - 2 * t
    frames[:, :16] += rng.integers(-1, 2, frames[:, :16].shape)  # the sensor
    return np.clip(frames, 0, 255).astype(np.uint8)


# ---- expected -----------------------------------------------------------------------------------------


def expect(directory, settings):
    frames, tensors = np.load(directory / "source.npy"), {}
    for name, setting in settings.items():
        for key, values in reduced.run(directory, frames, **setting).items():
            tensors[f"{name}.{key}"] = np.asarray(values, np.float32)
        print(f"{directory.name:24} {name:20} kept {tensors[f'{name}.kept'].size:4} of "
              f"{tensors[f'{name}.source'].size}, left {tensors[f'{name}.layers'].astype(int)}")
    return tensors


def main():
    for make, name, T in ((make_videomae, "videomae", 16), (make_vivit, "vivit", 8)):
        rng = np.random.default_rng([5, T])
        make(OUT / name, rng)
        np.save(OUT / name / "source.npy", make_clip(T, rng))
        write_safetensors(OUT / name / "expected.safetensors", expect(OUT / name, CLIPS))
    for name in IMAGE_MODELS:
        write_safetensors(OUT / f"{name}.safetensors", expect(ROOT / "tests" / "golden" / name, IMAGES))


if __name__ == "__main__":
    main()
