#!/usr/bin/env python3
"""Streams against the published code of Eventful Transformers: writes bench/results/published.csv.

    VENV/bin/python bench/published.py CHECKOUT [--vidette build/vidette] [--rounds 2] [--under "chrt -f 10"]

CHECKOUT is https://github.com/WISION-Lab/eventful-transformer (MIT); VENV has torch, torchvision, matplotlib and pyyaml. Its
ViTDet-B backbone runs with its own timing configurations, random weights and frames whose every pixel changes a little;
timed is `backbone(x)`, without the embedding, in its script's way: dense, then a flush and some steps with the R largest
errors of each gate. `cast` is its attention product's type in global blocks: bfloat16 is its configuration. Vidette's steps
(embedding included) are of the same size and R, in f32 and bf16, by turns; the fastest of each counts.
"""
import argparse
import json
import shlex
import subprocess
import sys
import time
import types
from pathlib import Path

from results import MACHINE, ROOT, json_lines, machine, save_rows

RESULTS = "published.csv"
KEY = ["cpu", "size", "r", "cast"]
FIELDS = [*MACHINE, *KEY[1:], "torch", "published_dense_ms", "published_step_ms", "f32_step_ms", "f32_speedup", "bf16_step_ms",
          "bf16_speedup"]
CASES = [(1024, 512), (672, 256)]


def stub_detectron2():
    """Its model file names these for the detection head, which is not run."""
    for name, members in (("detectron2", []), ("detectron2.config", ["LazyConfig", "instantiate"]),
                          ("detectron2.structures", ["ImageList"])):
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, None)
        sys.modules[name] = module


def merged(a, b):
    return {**a, **{key: merged(a[key], value) if isinstance(value, dict) and isinstance(a.get(key), dict) else value
                    for key, value in b.items()}}


def read_config(checkout, path):
    import yaml
    config, whole = yaml.safe_load(path.read_text()), {}
    for name in config.pop("_defaults", []):
        beside = path.parent / name
        whole = merged(whole, read_config(checkout, beside if beside.is_file() else checkout / name))
    return merged(whole, config)


def open_backbone(checkout, kind, size, cast):
    import torch
    from eventful_transformer.backbones import ViTBackbone
    config = read_config(checkout, checkout / f"configs/time/vitdet_vid/{kind}_{size}_cpu.yml")["model"]
    options = config["backbone_config"]
    if cast == "none":
        options["block_config"]["matmul_2_cast"] = None
    side = size // config["patch_size"][0]
    backbone = ViTBackbone(input_size=(side, side), **options)
    random = torch.Generator().manual_seed(1)
    for name, parameter in backbone.named_parameters():
        if "layer_norm" not in name:
            parameter.normal_(0.0, 0.02, generator=random)
    backbone.eval()
    backbone.no_counting()
    return backbone, side * side, options["block_config"]["dim"]


def timed(backbone, x):
    start = time.perf_counter()
    backbone(x)
    return 1e3 * (time.perf_counter() - start)


def run_published(args, size, r, cast):
    """In a process of its own: dense and step, the fastest of some, in milliseconds."""
    stub_detectron2()
    sys.path.insert(0, str(args.checkout))
    import torch
    from eventful_transformer.policies import TokenNormTopK
    from utils.misc import set_policies
    torch.set_num_threads(args.threads)
    with torch.inference_mode():
        backbone, tokens, width = open_backbone(args.checkout, "base", size, cast)
        base = torch.randn((1, tokens, width), generator=torch.Generator().manual_seed(0))
        dense = min(timed(backbone, base) for _ in range(3))
        backbone, _, _ = open_backbone(args.checkout, "temporal", size, cast)
        set_policies(backbone, TokenNormTopK, k=r)
        backbone.reset()
        timed(backbone, base)
        step = min(timed(backbone, base + 0.02 * torch.randn_like(base)) for _ in range(4))
    print(json.dumps({"dense": dense, "step": step, "torch": torch.__version__}))


def published(args, size, r, cast):
    command = [sys.executable, __file__, str(args.checkout), "--threads", str(args.threads), "--one", f"{size},{r},{cast}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def step_ms(args, size, r, precision):
    command = [*shlex.split(args.under), args.vidette, "bench", "--stream", "--json", "--arch", "vitdet-base", "--size", str(size),
               "--precision", precision, "--update", f"top:{r}", "--threads", str(args.threads)]
    return json_lines(command)[0]["ms"]["min"]


def measure(args, size, r, cast):
    theirs, ours = [], {"f32": [], "bf16": []}
    for _ in range(args.rounds):
        theirs.append(published(args, size, r, cast))
        for precision, times in ours.items():
            times.append(step_ms(args, size, r, precision))
    step = min(found["step"] for found in theirs)
    row = {"size": size, "r": r, "cast": cast, "torch": theirs[0]["torch"], "published_step_ms": f"{step:.4g}",
           "published_dense_ms": f"{min(found['dense'] for found in theirs):.4g}"}
    for precision, times in ours.items():
        row[f"{precision}_step_ms"] = f"{min(times):.4g}"
        row[f"{precision}_speedup"] = f"{step / min(times):.2f}"
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--vidette", default=str(ROOT / "build/vidette"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--under", default="", help="a command that runs Vidette")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        size, r, cast = args.one.split(",")
        run_published(args, int(size), int(r), cast)
        return
    common = machine()
    for size, r in CASES:
        for cast in ("bfloat16", "none"):
            row = {**common, **measure(args, size, r, cast)}
            save_rows(RESULTS, FIELDS, KEY, [row])
            print(", ".join(f"{field} {row[field]}" for field in FIELDS[3:]), flush=True)


if __name__ == "__main__":
    main()
