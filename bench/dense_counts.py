#!/usr/bin/env python3
"""Published operation counts of dense VideoMAE (RLT's compute law), counted on real runs.

    python3 bench/dense_counts.py build/vidette [huge]        (huge: 5 GB of memory)

One run of each geometry on one clip; `macs` is what the operations counted while they ran.
"""
import json
import subprocess
import sys

GMAC = {"videomae-base": 180.34, "videomae-large": 596.83, "videomae-huge": 1190.99}


def main():
    vidette, *more = sys.argv[1:]
    for arch, printed in GMAC.items():
        if arch == "videomae-huge" and "huge" not in more:
            continue
        line = subprocess.run([vidette, "bench", "--arch", arch, "--repeats", "1", "--json"], check=True,
                              capture_output=True).stdout
        counted = json.loads(line)["macs"]["done"] * 1e-9
        print(f"{arch}: printed {printed:.2f}, counted {counted:.5f} GMAC", flush=True)
        if abs(counted - printed) > 0.005:
            raise SystemExit("expected the printed count")


if __name__ == "__main__":
    main()
