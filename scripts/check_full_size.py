#!/usr/bin/env python3
"""Compares the `vidette` command with torch on models of full size, layer by layer.

    pip install -r scripts/requirements.txt
    python scripts/check_full_size.py --vidette build/vidette [--models vit-base ...] [--keep DIR]

Writes VideoMAE-B (16 x 224 x 224), ViT-B (224) and DINOv2-S (224, positions resized from 518) with the
random weights of transformers, and frames of random content, into a temporary directory; runs them in
torch in float32 and with

    vidette embed -m DIR x.npy --rate 1 --pool none --layer L -o out.npy       L = 0 .. 12 and last
    vidette classify -m DIR x.npy --rate 1 --json --logits

and prints for each layer the largest difference, relative to the layer's largest value, and the smallest
cosine between a token and its reference, and for the logits the largest difference. Fails above 2e-5,
below 0.99999 and above 5e-5. About 1 GB of disk and 3 GB of memory.
"""
import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import transformers

from make_golden import find_blocks, find_tower, generator, record_hidden, source_frames

MAX_RELATIVE, MIN_COSINE, MAX_LOGITS = 2e-5, 0.99999, 5e-5
SEED = 20240503


@dataclasses.dataclass
class Model:
    model: str
    config: dict
    processor: object
    frames: int = 1


IMAGENET = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
MODELS = {
    "videomae-base": Model("VideoMAEForVideoClassification", dict(num_labels=400),
                           transformers.VideoMAEImageProcessor(**IMAGENET), frames=16),
    "vit-base": Model("ViTForImageClassification", dict(num_labels=1000), transformers.ViTImageProcessor()),
    "dinov2-small": Model("Dinov2Model", dict(hidden_size=384, num_attention_heads=6, image_size=518),
                          transformers.BitImageProcessor(size={"shortest_edge": 256}, **IMAGENET)),
}


class Failure(Exception):
    """The command did not do what its contract says."""


def write_model(name, directory):
    """The directory and source frames (T, 240, 320, 3) beside it; returns both paths."""
    model, source = MODELS[name], directory / f"{name}.npy"
    torch.manual_seed(SEED)
    model_class = getattr(transformers, model.model)
    model_class(model_class.config_class(**model.config)).save_pretrained(directory / name)
    model.processor.save_pretrained(directory / name)
    np.save(source, source_frames(generator(name, "frames"), model.frames, 240, 320))
    return directory / name, source


@torch.no_grad()
def run_torch(name, directory, source):
    """{"0": (N, D), .., "L": (N, D), "last": (N, D)} and the logits, or None."""
    model = getattr(transformers, MODELS[name].model).from_pretrained(directory, attn_implementation="sdpa").eval()
    pixels = MODELS[name].processor(list(np.load(source)), return_tensors="pt")["pixel_values"]
    tower = find_tower(model)
    output, hidden = record_hidden(find_blocks(tower), lambda: tower(pixels))
    layers = {str(i): tensor.numpy() for i, tensor in enumerate(hidden)}
    layers["last"] = output.last_hidden_state[0].numpy()
    logits = model(pixels).logits[0].numpy() if hasattr(model, "classifier") else None
    return layers, logits


def run_vidette(command, *arguments):
    result = subprocess.run([command, *map(str, arguments), "--precision", "f32"], capture_output=True, text=True)
    if result.returncode != 0:
        raise Failure(f"{command} {' '.join(map(str, arguments))}: exit {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def embed(command, directory, source, layer, out):
    run_vidette(command, "embed", "-m", directory, source, "--rate", 1, "--pool", "none", "--layer", layer,
                "-o", out)
    return np.load(out)


def classify(command, directory, source):
    lines = run_vidette(command, "classify", "-m", directory, source, "--rate", 1, "--json", "--logits")
    return np.array(json.loads(lines.splitlines()[0])["logits"])


def relative_error(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def smallest_cosine(found, expected):
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((found * expected).sum(1) / norms).min())


def check_layer(name, layer, found, expected):
    """Prints a line; returns whether it is good. Comparisons are written so that NaN fails."""
    if found.size != expected.size or found.shape[-2:] != expected.shape:
        raise Failure(f"{name}, layer {layer}: expected shape {expected.shape}, found {found.shape}")
    found = found.reshape(expected.shape)
    error, cosine = relative_error(found, expected), smallest_cosine(found, expected)
    good = error <= MAX_RELATIVE and cosine >= MIN_COSINE
    verdict = "" if good else "WRONG"
    print(f"{name:14} layer {layer:>4}  relative {error:.2e}  cosine {cosine:.9f}  {verdict}", flush=True)
    return good


def check_logits(name, found, expected):
    if found.shape != expected.shape:
        raise Failure(f"{name}: expected {len(expected)} logits, found {found.shape}")
    difference = float(np.abs(found - expected).max())
    good = difference <= MAX_LOGITS
    print(f"{name:14} logits      difference {difference:.2e}  {'' if good else 'WRONG'}", flush=True)
    return good


def check_model(name, command, directory):
    directory, source = write_model(name, directory)
    layers, logits = run_torch(name, directory, source)
    out = source.with_suffix(".out.npy")
    results = [check_layer(name, layer, embed(command, directory, source, layer, out), expected)
               for layer, expected in layers.items()]
    if logits is not None:
        results.append(check_logits(name, classify(command, directory, source), logits))
    return all(results)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vidette", required=True, metavar="PATH", help="the command to check")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), metavar="MODEL",
                        help=f"of {', '.join(MODELS)}; default: all")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write models and frames here and leave them")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        try:
            good = [check_model(name, arguments.vidette, directory) for name in arguments.models]
        except (Failure, OSError) as failure:
            print(f"check_full_size: {failure}", file=sys.stderr)
            return 1
    print("all agree" if all(good) else "they do not agree")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
