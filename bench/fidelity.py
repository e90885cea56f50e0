#!/usr/bin/env python3
"""What streams change in a model's features, beside what they cost, against the two simplest rivals at equal cost.

    python bench/fidelity.py VIDEO... [--arch vit-base | -m MODEL | --stills-of MODEL] [--size 224] [--frames 200] [--write]

    python bench/fidelity.py ../shared/data/videos/*.* --arch vit-small --frames 150
    python bench/fidelity.py ../shared/data/videos/*.* --stills-of share/fight-vivit-tiny --size 112 --frames 150 --write

The first --frames of every video, scaled and cropped to the model's size, run dense and as a stream in every setting. Cost is
multiply-adds done over dense, the flush of the first frame apart; milliseconds are the median step over the median dense frame.
The rivals recompute whole frames, as many as the cost of the setting allows, and repeat the last features in between: `every`
at even distances; `difference` whenever the mean absolute difference of the pixels to the last computed frame exceeds a
threshold, chosen afterwards so that the cost is equal. Over all frames but the first:

    class   cosine of the class token with the dense run's, mean and least (the mean of all tokens where there is no class token)
    tokens  mean cosine of all tokens
    lost    sum |f - dense|^2 / sum |dense - mean over time|^2 over all tokens: what part of what happens in the video is lost;
            1 is no better than a constant

--stills-of makes an image model of a trained factorised encoder: its spatial model, which sees every frame as a snippet that
stands still, so that the kernels of a snippet's frames add up.

Rows go to bench/results/fidelity.csv. --write draws docs/images/fidelity*.svg and the tables of docs/methods.md from it.
Needs numpy, av, Pillow and safetensors (scripts/requirements.txt).
"""
import argparse
import json
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

from results import MACHINE, ROOT, machine, read_rows, save_rows

RESULTS = "fidelity.csv"
KEY = ["cpu", "model", "video", "frames", "method", "setting"]
FIELDS = [*MACHINE, "model", "video", "frames", "method", "setting", "macs", "ms", "class_cosine", "class_least",
          "tokens_cosine", "lost"]
TOP = [6, 12, 24, 48, 96]  # of 197 tokens; as many of others in proportion


def top(r, tokens):
    return f"top:{max(1, round(r * tokens / 197))}"


def settings(tokens):
    """(method, setting, options) of every stream."""
    rows = [("exact", top(r, tokens), []) for r in TOP]
    rows += [("exact, threshold", f"threshold:{h}", []) for h in (1, 2, 4, 8, 16)]
    rows += [("exact, still auto", top(r, tokens), ["--still", "auto"]) for r in (12, 48)]
    rows += [("exact, max-wait 0", top(r, tokens), ["--max-wait", "0"]) for r in (6, 12, 24)]
    rows += [("delta", top(r, tokens), ["--attention", "delta"]) for r in TOP]
    rows += [("tokenwise", top(r, tokens), ["--attention", "tokenwise"]) for r in (12, 48)]
    return [(method, setting, ["--update", setting, *options]) for method, setting, options in rows]


def write_stills(source, folder):
    """The spatial model of a factorised encoder as a ViT of single frames."""
    config = json.loads((source / "config.json").read_text())
    tensors = {name: values.astype(np.float32) for name, values in load_file(source / "model.safetensors").items()}
    spatial = "vivit_fe.spatial."
    out = {name.removeprefix(spatial).replace("layer.", "blocks.", 1).replace(".attention.", ".attn."): values
           for name, values in tensors.items() if name.startswith(spatial)}
    out["pos_embed"] = out.pop("position_embeddings")
    out["patch_embed.proj.weight"] = tensors["vivit_fe.embeddings.projection.weight"].sum(2)
    out["patch_embed.proj.bias"] = tensors["vivit_fe.embeddings.projection.bias"]
    save_file({name: np.ascontiguousarray(values) for name, values in out.items()}, folder / "model.safetensors")
    kept = ("image_size", "hidden_size", "num_attention_heads", "intermediate_size", "layer_norm_eps", "hidden_act")
    (folder / "config.json").write_text(json.dumps({"model_type": "vit", "patch_size": config["tubelet_size"][1],
                                                    "num_hidden_layers": config["spatial_layers"],
                                                    **{name: config[name] for name in kept}}))
    processor = json.loads((source / "preprocessor_config.json").read_text())
    processor["image_processor_type"] = "ViTImageProcessor"
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


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
        tokens = dense.shape[1]
        class_token = tokens == (args.size // args.patch) ** 2 + 1
        for method, setting, options in settings(tokens):
            found, cost, ms = run(args, folder, options)
            macs = sum(cost[1:]) / len(cost[1:])
            yield {"method": method, "setting": setting, "macs": macs, "ms": statistics.median(ms[1:]) / statistics.median(dense_ms),
                   **measure(found, dense, class_token)}
            for rival, share, quality in rivals(frames, dense, macs, class_token):
                yield {"method": rival, "setting": f"{method}, {setting}", "macs": share, "ms": share, **quality}


def add_rows(args):
    named = args.stills_of or args.model
    name = f"{Path(named).name}{', stills' if args.stills_of else ''}" if named else args.arch
    common = {**machine(), "model": name, "frames": args.frames}
    for path in args.videos:
        for row in rows_of(args, path):
            row = {key: f"{value:.5f}" if isinstance(value, (float, np.floating)) else value for key, value in row.items()}
            save_rows(RESULTS, FIELDS, KEY, [{**common, "video": path.name, **row}])
            print(path.name, *row.values(), flush=True)


# ---- table and plot -------------------------------------------------------------------------

# Marker, model, its tokens, the settings shown.
PAGES = [("fidelity", "vit-small", 197), ("fidelity_trained", "fight-vivit-tiny, stills", 50)]
SHOWN = [("exact", 12), ("exact", 48), ("exact, threshold", "threshold:1"), ("exact, threshold", "threshold:4"),
         ("exact, max-wait 0", 12), ("delta", 12), ("delta", 48), ("tokenwise", 48)]
SERIES = [("exact", "top R, exact", "#1f6fb4"), ("exact, threshold", "threshold, exact", "#2a9d5c"), ("delta", "top R, delta", "#d1495b"),
          ("every", "every k-th frame", "#888"), ("difference", "frames that differ", "#e09f3e")]
PANEL_W, PANEL_H, MOST_COST, MOST_LOST = 360, 220, 0.6, 2.0


def with_rivals(rows):
    """(row, every, difference): the rivals follow the row whose cost they have."""
    for i, row in enumerate(rows):
        if row["method"] not in ("every", "difference"):
            yield row, rows[i + 1], rows[i + 2]


def table(rows, tokens):
    shown = [(method, setting if isinstance(setting, str) else top(setting, tokens)) for method, setting in SHOWN]
    lines = ["| video | | setting | MACs | tokens' cosine: stream, every k-th, differing | lost: stream, every k-th, differing |",
             "|---|---|---|---|---|---|"]
    for row, every, difference in with_rivals(rows):
        if (row["method"], row["setting"]) in shown:
            trio = (row, every, difference)
            cosine = ", ".join(f"{float(r['tokens_cosine']):.4f}" for r in trio)
            lost = ", ".join(f"{float(r['lost']):.2f}" for r in trio)
            lines.append(f"| {row['video']} | {row['method']} | `{row['setting']}` | {float(row['macs']):.1%} | {cosine} | {lost} |")
    return "\n".join(lines)


def panel(rows, video, left, top):
    right, bottom = left + PANEL_W, top + PANEL_H
    x = lambda cost: left + PANEL_W * cost / MOST_COST
    y = lambda lost: bottom - PANEL_H * min(lost, MOST_LOST) / MOST_LOST
    yield f'<text x="{left}" y="{top - 12}" font-weight="bold">{video}</text>'
    for tick in (0, 0.5, 1, 1.5, 2):
        yield f'<path d="M{left} {y(tick):.1f}H{right}" stroke="#ddd"/><text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>'
    for tick in (0, 0.2, 0.4, 0.6):
        yield f'<path d="M{x(tick):.1f} {top}V{bottom}" stroke="#eee"/><text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick:.0%}</text>'
    for method, _, colour in SERIES:
        points = sorted({(float(r["macs"]), float(r["lost"])) for r in rows if r["video"] == video and r["method"] == method})
        points = [(x(cost), y(lost)) for cost, lost in points if cost <= MOST_COST]
        line = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        yield f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        yield from (f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points)


def plot(rows):
    videos = list(dict.fromkeys(row["video"] for row in rows))
    height = 60 + (PANEL_H + 80) * ((len(videos) + 1) // 2)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 {height}" font-family="sans-serif" font-size="12" fill="none">',
             f'<rect width="920" height="{height}" fill="white"/>', '<g fill="#333">']
    for i, video in enumerate(videos):
        lines += panel(rows, video, 60 + 470 * (i % 2), 40 + (PANEL_H + 80) * (i // 2))
    lines.append(f'<text x="60" y="{height - 48}">down: what is lost of the features\' changes; across: operations done</text>')
    for i, (_, name, colour) in enumerate(SERIES):
        lines.append(f'<circle cx="{66 + 170 * i}" cy="{height - 22}" r="4" fill="{colour}"/><text x="{76 + 170 * i}" y="{height - 18}">{name}</text>')
    return "\n".join([*lines, "</g>", "</svg>", ""])


def write():
    page = ROOT / "docs/methods.md"
    text = page.read_text()
    for marker, model, tokens in PAGES:
        rows = [row for row in read_rows(RESULTS) if row["model"] == model]
        (ROOT / f"docs/images/{marker}.svg").write_text(plot(rows))
        text = re.sub(rf"(<!-- {marker} -->\n).*?(<!-- end -->)", lambda m: m[1] + table(rows, tokens) + "\n" + m[2], text,
                      flags=re.S)
    page.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--arch", default="vit-base")
    parser.add_argument("-m", "--model")
    parser.add_argument("--stills-of", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--patch", type=int, default=16)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--vidette", default=str(ROOT / "build/vidette"))
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as stills:
        if args.stills_of:
            write_stills(args.stills_of, Path(stills))
            args.weights = ["-m", stills]
        else:
            args.weights = ["-m", args.model] if args.model else ["--arch", args.arch]
        add_rows(args)
    if args.write:
        write()


if __name__ == "__main__":
    main()
