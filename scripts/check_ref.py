#!/usr/bin/env python3
"""Runs the NumPy twins in ref/ over tests/golden and compares them with what the references computed.

    python scripts/check_ref.py [CASE...]

Prints each case's largest error, relative to the largest value of its tensor, and the tensor it is in.
Pixel values must be equal; everything else must agree within 1e-5. Needs NumPy only.
"""
import argparse
import importlib
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
sys.path.insert(0, str(ROOT / "ref"))

from encoder import read_config, read_safetensors  # noqa: E402 (the line above makes it findable)

TOLERANCE = 1e-5
TWINS = {  # by model_type
    "videomae": "videomae", "vivit": "vivit", "vit": "vit", "deit": "deit", "dinov2": "dinov2",
    "dinov2_with_registers": "dinov2", "siglip": "siglip", "siglip_vision_model": "siglip", "clip": "clip",
    "clip_vision_model": "clip",
}


def relative_error(found, expected):
    if found.shape != expected.shape:
        return np.inf
    return np.abs(found - expected).max() / np.abs(expected).max()


def compare(directory):
    """{tensor: relative error} of a case."""
    twin = importlib.import_module(TWINS[read_config(directory)["model_type"]])
    found = twin.run(directory, np.load(directory / "source.npy"))
    expected = read_safetensors(directory / "expected.safetensors")
    missing = sorted(set(expected) - set(found))
    if missing:
        raise KeyError(f"{directory.name}: the twin gives no {', '.join(missing)}")
    return {name: relative_error(found[name], expected[name]) for name in expected}


def is_good(errors):
    return errors["pixel_values"] == 0 and all(error <= TOLERANCE for error in errors.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all")
    names = parser.parse_args().cases or sorted(path.parent.name for path in GOLDEN.glob("*/expected.safetensors"))
    bad = []
    for name in names:
        errors = compare(GOLDEN / name)
        worst = max(errors, key=errors.get)
        if not is_good(errors):
            bad.append(name)
        print(f"{name:26} {errors[worst]:.1e} in {worst:12} {'' if is_good(errors) else 'WRONG'}")
    print(f"{len(names) - len(bad)} of {len(names)} cases agree")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
