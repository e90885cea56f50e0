#!/usr/bin/env python3
"""What reduction saves on fixed-camera videos, end to end, and what it changes in the small model's answers.

    python bench/fixed_camera.py VIDEO... [--precision f32 bf16] [--rounds 2]

Every video is cut into clips (a span of 16 frames, stride 2, every --seconds) and run dense, with RLT and with RLT and
ToMe, in turn; the smallest times of all rounds count. Model time is decide, embed, blocks and head of all clips; wall time
is that of the whole command, decoding included. Fidelity to dense is that of the small model that ships, in the same
setting on the same clips: agreement of the first answer, mean cosine of the logits, both without labels. Rows go to
bench/results/fixed_camera.csv.
"""
import argparse
import json
import math
import subprocess
import time
from pathlib import Path

from results import MACHINE, ROOT, machine, save_rows

RESULTS = "fixed_camera.csv"
KEY = ["video", "precision", "setting"]
FIELDS = [*MACHINE, "video", "clips", "precision", "setting", "tokens_kept", "macs_done", "model_ms", "model_speedup",
          "rate_kept", "wall_s", "wall_speedup", "demo_agreement", "demo_cosine"]
RLT = ["--rlt", "0.1", "--rlt-lengths", "bias,pool"]
SETTINGS = {"dense": [], "rlt 0.1": RLT, "rlt 0.1, tome 40": RLT + ["--tome", "40"]}
DEMO_SETTINGS = {"dense": [], "rlt 0.1": RLT, "rlt 0.1, tome 40": RLT + ["--tome", "10"]}  # r in proportion to 392 of 1568 tokens
STAGES = ("decide", "embed", "blocks", "head")


def run(args, model, video, precision, setting):
    start = time.perf_counter()
    done = subprocess.run([args.vidette, "classify", *model, "--precision", precision, "--rate", "2", "--sampling",
                           f"slide:{args.seconds}", "--json", "--logits", "--quiet", *setting, str(video)],
                          check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    return [json.loads(line) for line in done.stdout.splitlines()], seconds


def add_best(best, lines, seconds):
    model = sum(line["ms"][stage] for line in lines for stage in STAGES)
    best["model_ms"] = min(best.get("model_ms", math.inf), model)
    best["wall_s"] = min(best.get("wall_s", math.inf), seconds)
    best["lines"] = lines


def total(lines, group, key):
    return sum(line[group][key] for line in lines)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def fidelity(args, video, precision):
    dense, _ = run(args, [], video, precision, DEMO_SETTINGS["dense"])
    found = {}
    for name, setting in DEMO_SETTINGS.items():
        lines, _ = run(args, [], video, precision, setting)
        pairs = list(zip(dense, lines))
        found[name] = (sum(a["top"][0]["id"] == b["top"][0]["id"] for a, b in pairs) / len(pairs),
                       sum(cosine(a["logits"], b["logits"]) for a, b in pairs) / len(pairs))
    return found


def measure(args, video, precision):
    best = {name: {} for name in SETTINGS}
    for _ in range(args.rounds):
        for name, setting in SETTINGS.items():
            add_best(best[name], *run(args, ["--arch", "videomae-base"], video, precision, setting))
    close, dense = fidelity(args, video, precision), best["dense"]
    for name, row in best.items():
        lines = row["lines"]
        share = total(lines, "macs", "done") / total(lines, "macs", "dense")
        speedup = dense["model_ms"] / row["model_ms"]
        yield {"video": Path(video).name, "clips": len(lines), "precision": precision, "setting": name,
               "tokens_kept": f"{total(lines, 'tokens', 'kept') / total(lines, 'tokens', 'total'):.3f}",
               "macs_done": f"{share:.3f}", "model_ms": f"{row['model_ms'] / len(lines):.1f}", "model_speedup": f"{speedup:.2f}",
               "rate_kept": f"{share * speedup:.3f}", "wall_s": f"{row['wall_s']:.2f}",
               "wall_speedup": f"{dense['wall_s'] / row['wall_s']:.2f}",
               "demo_agreement": f"{close[name][0]:.3f}", "demo_cosine": f"{close[name][1]:.3f}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--vidette", default=str(ROOT / "build/vidette"))
    parser.add_argument("--precision", nargs="+", default=["f32", "bf16"])
    parser.add_argument("--seconds", type=float, default=4.0, help="a clip begins every so many seconds")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    common = machine()
    for video in args.videos:
        for precision in args.precision:
            for row in measure(args, video, precision):
                save_rows(RESULTS, FIELDS, KEY, [{**common, **row}])
                print(", ".join(f"{k} {v}" for k, v in row.items()), flush=True)


if __name__ == "__main__":
    main()
