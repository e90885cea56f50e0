#!/usr/bin/env python3
"""Converts pickled weights to model.safetensors, which is the only form that Vidette reads.

    pip install torch safetensors
    python scripts/convert_weights.py DIR              pytorch_model.bin, or the shards that
                                                       pytorch_model.bin.index.json lists
    python scripts/convert_weights.py checkpoint.pth   a file; VideoMAE's own names (blocks.i.attn.qkv ...)
                                                       become those of Hugging Face
    python scripts/convert_weights.py ... --to OTHER   write into OTHER, with copies of the other files

A pickle is a program. This script loads it with torch's restricted reader (weights_only=True), which
builds tensors and plain containers and refuses everything else. Tensors that share memory with another
(tied weights) are written once, under the name that sorts first; the others are named on the way.
A directory made from VideoMAE's .pth also gets a config.json and preprocessor_config.json if it has none:
16 frames of 224 x 224 and heads of 64 channels, as in all published checkpoints; the rest is read off the
shapes.
"""
import argparse
import json
import pickle
import re
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

SINGLE, INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


class Problem(Exception):
    """Something the user can do something about; its text is the whole message."""


# ---- reading --------------------------------------------------------------------------------------------


def load_pickle(path):
    # VideoMAE keeps its command line beside its weights: a plain record of arguments.
    with torch.serialization.safe_globals([argparse.Namespace]):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            refused = re.search(r"GLOBAL (\S+)", str(error))
            reason = f"it asks to run {refused[1]}" if refused else "it is no file of torch.save"
            raise Problem(f"{path}: expected tensors and plain containers, but {reason}: refused") from None
        except (RuntimeError, EOFError, OSError, ValueError) as error:
            reason = str(error).split("\n")[0]
            raise Problem(f"{path}: expected a file of torch.save, found something else ({reason})") from None


def find_tensors(content, path):
    """The dictionary of tensors in a checkpoint, at the top or under one of the customary keys."""
    for key in ("model", "module", "state_dict", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    tensors = {}
    if isinstance(content, dict):
        tensors = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise Problem(f"{path}: expected a dictionary of tensors, found {type(content).__name__}")
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def list_shards(index):
    try:
        return sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Problem(f"{index}: expected JSON with a weight_map of names to files") from None


def list_files(source):
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise Problem(f"{source}: expected a directory or a file, found nothing")
    if (source / INDEX).exists():
        shards = list_shards(source / INDEX)
        missing = [name for name in shards if not (source / name).exists()]
        if missing:
            raise Problem(f"{source}: expected the shard {missing[0]}, which {INDEX} lists; download it")
        return [source / name for name in shards]
    if (source / SINGLE).exists():
        return [source / SINGLE]
    found = "model.safetensors: nothing to convert" if (source / "model.safetensors").exists() else "neither"
    raise Problem(f"{source}: expected {SINGLE} or {INDEX}, found {found}")


def load_tensors(source):
    tensors = {}
    for path in list_files(source):
        tensors.update(find_tensors(load_pickle(path), path))
    return tensors


# ---- VideoMAE's own names -------------------------------------------------------------------------------

LEFT_OUT = ("decoder.", "encoder_to_decoder.", "mask_token")  # of pretraining, which nothing here runs
RENAMED = [
    (r"^patch_embed\.proj\.", "videomae.embeddings.patch_embeddings.projection."),
    (r"^blocks\.(\d+)\.norm1\.", r"videomae.encoder.layer.\1.layernorm_before."),
    (r"^blocks\.(\d+)\.norm2\.", r"videomae.encoder.layer.\1.layernorm_after."),
    (r"^blocks\.(\d+)\.attn\.(q_bias|v_bias)$", r"videomae.encoder.layer.\1.attention.attention.\2"),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"videomae.encoder.layer.\1.attention.output.dense."),
    (r"^blocks\.(\d+)\.mlp\.fc1\.", r"videomae.encoder.layer.\1.intermediate.dense."),
    (r"^blocks\.(\d+)\.mlp\.fc2\.", r"videomae.encoder.layer.\1.output.dense."),
    (r"^norm\.", "videomae.layernorm."),
    (r"^fc_norm\.", "fc_norm."),
    (r"^head\.", "classifier."),
]


def is_videomae(tensors):
    patch = tensors.get("patch_embed.proj.weight", tensors.get("encoder.patch_embed.proj.weight"))
    return patch is not None and patch.ndim == 5


def rename(name):
    for pattern, replacement in RENAMED:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    raise Problem(f"tensor {name}: not one of VideoMAE's names")


def split_qkv(name, weight):
    """Rows of the fused matrix (3 D, D): q, then k, then v."""
    at = f"videomae.encoder.layer.{name.split('.')[1]}.attention.attention."
    return {f"{at}{part}.weight": rows for part, rows in zip(("query", "key", "value"), weight.chunk(3))}


def from_videomae(tensors):
    renamed = {}
    for name, value in tensors.items():
        if name.startswith(LEFT_OUT):
            continue
        name = name.removeprefix("encoder.")
        if re.fullmatch(r"blocks\.\d+\.attn\.qkv\.weight", name):
            renamed.update(split_qkv(name, value))
        else:
            renamed[rename(name)] = value
    return renamed


def videomae_config(tensors):
    """What the shapes say; the rest is the same in all published checkpoints."""
    patch = tensors["videomae.embeddings.patch_embeddings.projection.weight"]  # (D, 3, s, p, p)
    inner = tensors["videomae.encoder.layer.0.intermediate.dense.weight"]      # (M, D)
    blocks = {name.split(".")[3] for name in tensors if name.startswith("videomae.encoder.layer.")}
    config = dict(
        architectures=["VideoMAEForVideoClassification" if "classifier.weight" in tensors else "VideoMAEModel"],
        model_type="videomae", image_size=224, num_frames=16, num_channels=3, patch_size=patch.shape[3],
        tubelet_size=patch.shape[2], hidden_size=patch.shape[0], num_hidden_layers=len(blocks),
        num_attention_heads=max(patch.shape[0] // 64, 1), intermediate_size=inner.shape[0], hidden_act="gelu",
        layer_norm_eps=1e-12, qkv_bias="videomae.encoder.layer.0.attention.attention.q_bias" in tensors,
        use_mean_pooling="videomae.layernorm.weight" not in tensors)
    if "classifier.weight" in tensors:
        labels = [f"LABEL_{i}" for i in range(len(tensors["classifier.weight"]))]
        config.update(id2label=dict(enumerate(labels)), label2id={name: i for i, name in enumerate(labels)})
    return config


VIDEOMAE_PROCESSOR = dict(
    image_processor_type="VideoMAEImageProcessor", do_resize=True, size={"shortest_edge": 224}, resample=2,
    do_center_crop=True, crop_size={"height": 224, "width": 224}, do_rescale=True, rescale_factor=1 / 255,
    do_normalize=True, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])


def write_if_absent(path, content):
    if not path.exists():
        path.write_text(json.dumps(content, indent=2) + "\n")
        print(f"{path}: written")


# ---- writing --------------------------------------------------------------------------------------------


def untied(tensors):
    """Clones of their own; of tensors that are the same memory only the first stays."""
    kept, owners = {}, {}
    for name in sorted(tensors):
        tensor = tensors[name]
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride())
        if tensor.numel() > 0 and place in owners:
            print(f"{name}: left out, the same memory as {owners[place]}")
            continue
        owners[place] = name
        kept[name] = tensor.detach().clone().contiguous()
    return kept


def write_weights(tensors, path):
    aside = path.with_name(path.name + ".part")
    save_file(tensors, aside, metadata={"format": "pt"})
    aside.replace(path)
    count = sum(tensor.numel() for tensor in tensors.values())
    print(f"{path}: {len(tensors)} tensors, {count} numbers")


def copy_others(source, target):
    """The small files that make a directory a model."""
    directory = source if source.is_dir() else source.parent
    for path in sorted(directory.glob("*.json")) + sorted(directory.glob("README.md")):
        if path.name != INDEX and not (target / path.name).exists():
            shutil.copy(path, target / path.name)


def convert(source, target):
    tensors = load_tensors(source)
    original = is_videomae(tensors)
    tensors = untied(from_videomae(tensors) if original else tensors)
    if target:
        target.mkdir(parents=True, exist_ok=True)
        copy_others(source, target)
    target = target or (source if source.is_dir() else source.parent)
    write_weights(tensors, target / "model.safetensors")
    if original:
        write_if_absent(target / "config.json", videomae_config(tensors))
        write_if_absent(target / "preprocessor_config.json", VIDEOMAE_PROCESSOR)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, help="directory with pytorch_model.bin, or a .bin, .pt or .pth file")
    parser.add_argument("--to", type=Path, metavar="DIR", help="where to write; default: beside the source")
    arguments = parser.parse_args()
    try:
        convert(arguments.source, arguments.to)
    except Problem as problem:
        print(f"convert_weights: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"convert_weights: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
