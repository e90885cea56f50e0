#!/usr/bin/env python3
"""The published operation counts of Eventful ViTDet-B and ViViT-B, reproduced by counting on real runs.

    python3 bench/eventful_counts.py build/vidette [672] [vivit]     (NumPy; 8 GB of memory at 1024, 1.5 at 672)

Runs three frames of noise through `vidette stream --arch vitdet-base --macs eventful` for every printed
row: each step after the first must count, to the printed digits, what the papers' tables say. In the first
step, which computes everything, the count is the dense model's. A clip of factorised ViViT is 16 snippets, the
first of them a first step, and one run of the temporal encoder; a stream runs that after each snippet, over
those that there are, so these runs are taken out of its count.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TABLE = {  # GMAC: dense, then by r in `delta` and in `tokenwise`
    1024: (467.440, (2048, 1536, 1024, 768, 512, 256),
           (294.286, 224.986, 155.686, 121.036, 86.385, 51.735),
           (293.437, 249.908, 206.379, 184.615, 162.850, 141.086)),
    672: (174.495, (1024, 768, 512, 384, 256, 128),
          (114.878, 87.564, 60.249, 46.592, 32.935, 19.278),
          (111.631, 89.867, 68.102, 57.220, 46.338, 35.455)),
}


VIVIT = {  # TMAC of 12 views: dense, then by r
    320: (7.1220, {280: 5.4905, 240: 4.7719, 200: 4.0532, 160: 3.3346, 140: 2.9753, 120: 2.6160, 100: 2.2567,
                   80: 1.8974, 70: 1.7177, 60: 1.5381, 50: 1.3584, 40: 1.1787, 30: 0.9991}),
    224: (3.3596, {96: 1.8138, 48: 1.0164, 24: 0.6178}),
}


def temporal(snippets, d=768, layers=4):
    n = 1 + snippets
    return n * d + layers * (n * (12 * d * d + 9 * d) + 2 * n * n * d + 2 * n * d)


def count_clip(vidette, frames, size, r):
    command = [vidette, "stream", "--arch", "vivit-fe-base", "--size", str(size), "--precision", "f32", "--json",
               "--macs", "eventful", "--attention", "delta", "--update", f"top:{r}", frames]
    lines = [json.loads(line) for line in subprocess.run(command, check=True, capture_output=True).stdout.splitlines()]
    steps = [line["macs"] for line in lines if "frame" in line]
    spatial = sum(step["done"] - temporal(i + 1) for i, step in enumerate(steps))
    dense = sum(step["dense"] - temporal(16) for step in steps)
    return 12e-12 * (dense + temporal(16)), 12e-12 * (spatial + temporal(16))


def count(vidette, frames, size, attention, r):
    command = [vidette, "stream", "--arch", "vitdet-base", "--size", str(size), "--precision", "f32", "--json",
               "--macs", "eventful", "--attention", attention, "--update", f"top:{r}", frames]
    lines = [json.loads(line) for line in subprocess.run(command, check=True, capture_output=True).stdout.splitlines()]
    steps = [line["macs"] for line in lines if "frame" in line and not line["first"]]
    if len({step["done"] for step in steps}) != 1:
        raise SystemExit(f"{size} {attention} r {r}: steps count differently: {steps}")
    return steps[0]["dense"] * 1e-9, steps[0]["done"] * 1e-9


def main():
    vidette, wanted = sys.argv[1], sys.argv[2:]
    sizes = [int(size) for size in wanted if size != "vivit"] if wanted else list(TABLE)
    vivit = VIVIT if not wanted or "vivit" in wanted else {}
    wrong = 0
    with tempfile.TemporaryDirectory() as directory:
        for size in sizes:
            dense, rs, delta, tokenwise = TABLE[size]
            frames = str(Path(directory) / "noise.npy")
            np.save(frames, np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8))
            for attention, printed in (("delta", delta), ("tokenwise", tokenwise)):
                for r, expected in zip(rs, printed):
                    found_dense, found = count(vidette, frames, size, attention, r)
                    good = f"{found:.3f}" == f"{expected:.3f}" and f"{found_dense:.3f}" == f"{dense:.3f}"
                    wrong += not good
                    print(f"{size} {attention:9} r {r:4}: dense {found_dense:.3f}, step {found:.3f}, "
                          f"printed {expected:.3f}{'' if good else '   DIFFERS'}", flush=True)
        for size, (dense, rows) in vivit.items():
            frames = str(Path(directory) / "noise.npy")
            np.save(frames, np.random.default_rng(0).integers(0, 256, (32, size, size, 3), np.uint8))
            for r, expected in rows.items():
                found_dense, found = count_clip(vidette, frames, size, r)
                good = f"{found:.4f}" == f"{expected:.4f}" and f"{found_dense:.4f}" == f"{dense:.4f}"
                wrong += not good
                print(f"ViViT {size} r {r:3}: dense {found_dense:.4f}, clip {found:.4f}, printed {expected:.4f}"
                      f"{'' if good else '   DIFFERS'}", flush=True)
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
