#!/usr/bin/env python3
"""The published operation counts of Eventful ViTDet-B, reproduced by counting on real runs.

    python3 bench/eventful_counts.py build/vidette [672]        (NumPy; about 8 GB of memory at 1024, 1.5 at 672)

Runs three frames of noise through `vidette stream --arch vitdet-base --macs eventful` for every printed
row: each step after the first must count, to the printed digits, what the papers' tables say. In the first
step, which computes everything, the count is the dense model's.
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


def count(vidette, frames, size, attention, r):
    command = [vidette, "stream", "--arch", "vitdet-base", "--size", str(size), "--precision", "f32", "--json",
               "--macs", "eventful", "--attention", attention, "--update", f"top:{r}", frames]
    lines = [json.loads(line) for line in subprocess.run(command, check=True, capture_output=True).stdout.splitlines()]
    steps = [line["macs"] for line in lines if "frame" in line and not line["first"]]
    if len({step["done"] for step in steps}) != 1:
        raise SystemExit(f"{size} {attention} r {r}: steps count differently: {steps}")
    return steps[0]["dense"] * 1e-9, steps[0]["done"] * 1e-9


def main():
    vidette, sizes = sys.argv[1], [int(size) for size in sys.argv[2:]] or list(TABLE)
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
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
