#!/usr/bin/env python3
"""What streams change in a model's features, beside what they cost, against the two simplest rivals at equal cost.

    python bench/fidelity.py VIDEO... [--arch vit-base | -m MODEL] [--frames 200] [--write]

The first --frames of every video, scaled and cropped to the model's size, run dense and as a stream in every setting. Cost is
multiply-adds done over dense, the flush of the first frame apart; milliseconds are the median step over the median dense frame.
The rivals recompute whole frames, as many as the cost of the setting allows, and repeat the last features in between: `every`
at even distances; `difference` whenever the mean absolute difference of the pixels to the last computed frame exceeds a
threshold, chosen afterwards so that the cost is equal. Over all frames but the first:

    class   cosine of the class token with the dense run's, mean and least (the mean of all tokens where there is no class token)
    tokens  mean cosine of all tokens
    lost    sum |f - dense|^2 / sum |dense - mean over time|^2 over all tokens: what part of what happens in the video is lost;
            1 is no better than a constant

Rows are appended to bench/results/fidelity.csv. --write draws docs/images/fidelity.svg and the table of docs/methods.md from it.
Needs numpy, av and Pillow (scripts/requirements.txt).
"""
import argparse
import csv
import datetime
import json
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

from dense import ROOT, cpu_name

RESULTS = ROOT / "bench/results/fidelity.csv"
FIELDS = ["date", "commit", "cpu", "model", "video", "frames", "method", "setting", "macs", "ms", "class_cosine", "class_least",
          "tokens_cosine", "lost"]
UPDATES = ["top:6", "top:12", "top:24", "top:48", "top:96"]
SETTINGS = [("exact", u, ["--update", u]) for u in UPDATES]
SETTINGS += [("exact, threshold", f"threshold:{h}", ["--update", f"threshold:{h}"]) for h in (1, 2, 4, 8, 16)]
SETTINGS += [("exact, still auto", u, ["--update", u, "--still", "auto"]) for u in ("top:12", "top:48")]
SETTINGS += [("exact, max-wait 0", u, ["--update", u, "--max-wait", "0"]) for u in ("top:6", "top:12", "top:24")]
SETTINGS += [("delta", u, ["--update", u, "--attention", "delta"]) for u in UPDATES]
SETTINGS += [("tokenwise", u, ["--update", u, "--attention", "tokenwise"]) for u in ("top:12", "top:48")]


def read_frames(path, count, size):
    """(count, size, size, 3): the short side scaled to `size`, the middle cut out."""
    frames = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            image = frame.to_image()
            scale = size / min(image.size)
            width, height = (max(size, round(side * scale)) for side in image.size)
            left, top = (width - size) // 2, (height - size) // 2
            image = image.resize((width, height), Image.BICUBIC).crop((left, top, left + size, top + size))
            frames.append(np.asarray(image))
            if len(frames) == count:
                break
    return np.stack(frames)


def run(args, folder, setting):
    """Token features (F, N, D), and macs over dense and ms of every frame."""
    features = folder / "features.npy"
    done = subprocess.run([args.vidette, "embed", *args.weights, "--precision", "f32", "--pool", "none", "--json", "--quiet",
                           *setting, "-o", str(features), str(folder / "frames.npy")],
                          check=True, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    lines = [line for line in lines if "frame" in line]
    cost = [line["macs"]["done"] / line["macs"]["dense"] for line in lines]
    return np.load(features), cost, [line["ms"]["step"] for line in lines]


def cosines(a, b):
    return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def measure(found, dense, class_token):
    found, dense = found[1:], dense[1:]
    read = (lambda x: x[:, 0]) if class_token else (lambda x: x.mean(1))
    summary = cosines(read(found), read(dense))
    lost = np.square(found - dense).sum() / np.square(dense - dense.mean(0)).sum()
    return {"class_cosine": summary.mean(), "class_least": summary.min(), "tokens_cosine": cosines(found, dense).mean(),
            "lost": lost}


def last_computed(computed):
    """For every frame the last one of `computed`, which is ascending and begins with 0."""
    return lambda count: np.asarray(computed)[np.searchsorted(computed, np.arange(count), side="right") - 1]


def evenly(count, runs):
    """Frame 0 and `runs` more."""
    return sorted({0, *(round(i * count / (runs + 1)) for i in range(1, runs + 1))})


def by_difference(frames, threshold):
    computed, last = [0], frames[0]
    for i in range(1, len(frames)):
        if np.abs(frames[i] - last).mean() > threshold:
            computed.append(i)
            last = frames[i]
    return computed


def difference_at(frames, runs):
    """The lowest threshold, to one part in 4096 of a grey level, that computes no more than `runs` frames after the first."""
    small = frames[:, ::2, ::2].astype(np.float32)
    low, high = 0.0, 256.0
    while high - low > 1 / 4096:
        middle = (low + high) / 2
        low, high = (low, middle) if len(by_difference(small, middle)) - 1 <= runs else (middle, high)
    return by_difference(small, high)


def rivals(frames, dense, cost, class_token):
    count = len(frames)
    runs = round(cost * (count - 1))
    for name, computed in (("every", evenly(count, runs)), ("difference", difference_at(frames, runs))):
        repeated = dense[last_computed(computed)(count)]
        yield name, (len(computed) - 1) / (count - 1), measure(repeated, dense, class_token)


def rows_of(args, path):
    frames = read_frames(path, args.frames, args.size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "frames.npy", frames)
        dense, _, dense_ms = run(args, folder, ["--update", "all"])
        class_token = dense.shape[1] == (args.size // args.patch) ** 2 + 1
        for method, setting, options in SETTINGS:
            found, cost, ms = run(args, folder, options)
            macs = sum(cost[1:]) / len(cost[1:])
            yield {"method": method, "setting": setting, "macs": macs, "ms": statistics.median(ms[1:]) / statistics.median(dense_ms),
                   **measure(found, dense, class_token)}
            for rival, share, quality in rivals(frames, dense, macs, class_token):
                yield {"method": rival, "setting": f"{method}, {setting}", "macs": share, "ms": share, **quality}


def add_rows(args):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    common = {"date": datetime.date.today().isoformat(), "commit": commit.stdout.strip(), "cpu": cpu_name(),
              "model": args.model and Path(args.model).name or args.arch, "frames": args.frames}
    fresh = not RESULTS.exists()
    with open(RESULTS, "a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if fresh:
            writer.writeheader()
        for path in args.videos:
            for row in rows_of(args, path):
                row = {key: f"{value:.5f}" if isinstance(value, float) else value for key, value in row.items()}
                writer.writerow({**common, "video": path.name, **row})
                file.flush()
                print(path.name, *row.values(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--arch", default="vit-base")
    parser.add_argument("-m", "--model")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--patch", type=int, default=16)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--vidette", default=str(ROOT / "build/vidette"))
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    args.weights = ["-m", args.model] if args.model else ["--arch", args.arch]
    add_rows(args)


if __name__ == "__main__":
    main()
