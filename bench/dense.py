#!/usr/bin/env python3
"""Times Vidette's dense engine beside its rivals, alternating, and writes bench/results/dense.csv and its plot.

    python bench/dense.py --peers PATH/peers.py --python VENV/bin/python [--rounds 3] [--arch vit-base ...]

peers.py prints a JSON line per engine and precision (PyTorch, ONNX Runtime, OpenVINO); VENV holds what it needs.
Each round runs every rival and Vidette once, one after the other; the smallest time of all rounds counts. Rows of
the same machine, geometry, precision, batch and engine are replaced; a changed row is a reviewed diff. `--plot`
draws docs/dense.svg from the file and measures nothing. Without --peers only Vidette runs.
"""
import argparse
import os

from results import MACHINE, ROOT, json_lines, machine, read_rows, runs_in, save_rows

RESULTS = "dense.csv"
FIELDS = [*MACHINE, "threads", "arch", "precision", "batch", "engine", "ms_min", "gflops", "peak_gflops",
          "efficiency", "vs_best_peer"]
KEY = ["cpu", "threads", "arch", "precision", "batch", "engine"]
# Name (also peers.py's), Vidette's arguments, batch, precisions, whether rivals run it.
CASES = [
    ("vit-base", ["--arch", "vit-base"], 1, ("f32", "bf16", "int8"), True),
    ("videomae-base", ["--arch", "videomae-base"], 1, ("f32", "bf16", "int8"), True),
    ("vitdet-base-672", ["--arch", "vitdet-base", "--size", "672"], 1, ("f32", "bf16"), True),
    ("vitdet-base-1024", ["--arch", "vitdet-base", "--size", "1024"], 1, ("f32", "bf16"), True),
    ("videomae-large", ["--arch", "videomae-large"], 4, ("f32", "bf16", "int8"), False),
]
PRECISIONS = ("f32", "bf16", "int8")


def run_vidette(args, geometry, precision, batch):
    line = json_lines([args.vidette, "bench", *geometry, "--precision", precision, "--batch", str(batch), "--threads",
                     str(args.threads), "--json"])[0]
    return {"engine": "vidette", "ms_min": line["ms"]["min"] / batch, "gflops": line["gflops"],
            "peak_gflops": line["peak_gflops"], "efficiency": line["efficiency"]}


def run_peers(args, arch, precision):
    engines = "openvino" if precision == "bf16" or arch.startswith("vitdet") else "openvino,onnxruntime"
    return json_lines([args.python, args.peers, arch, "--engines", engines, "--precisions", precision, "--threads",
                     str(args.threads), "--seconds", "3"])


def keep_best(best, row):
    known = best.get(row["engine"])
    if not known or row["ms_min"] < known["ms_min"]:
        best[row["engine"]] = row


def measure(args, arch, geometry, precision, batch, rivals_run):
    """The best of each engine; efficiency against the best peak of all rounds, not that of the lucky run."""
    best, peak = {}, 0.0
    for _ in range(args.rounds):
        if args.peers and rivals_run:
            for line in run_peers(args, arch, precision):
                keep_best(best, {"engine": line["engine"], "ms_min": line["ms_min"], "gflops": line["gflops"]})
        own = run_vidette(args, geometry, precision, batch)
        peak = max(peak, own["peak_gflops"])
        keep_best(best, own)
    own = best["vidette"]
    own["peak_gflops"], own["efficiency"] = peak, own["gflops"] / peak
    rivals = [row["ms_min"] for engine, row in best.items() if engine != "vidette"]
    if rivals:
        own["vs_best_peer"] = own["ms_min"] / min(rivals)
    return list(best.values())


def tidy(row):
    digits = {"ms_min": 1, "gflops": 1, "peak_gflops": 1, "efficiency": 3, "vs_best_peer": 3}
    return {field: f"{row[field]:.{digits[field]}f}" if field in digits and field in row else row.get(field, "") for field in FIELDS}


def plot(out):
    """A bar an engine, in groups of CPU, geometry and precision; the longest of a group fills the width."""
    groups = {}
    for row in read_rows(RESULTS):
        if row["batch"] == "1":
            group = groups.setdefault((row["cpu"], row["threads"], row["arch"], row["precision"]), {})
            group[row["engine"]] = float(row["ms_min"])
    colours = {"vidette": "#c9482b", "openvino": "#2b7fc9", "onnxruntime": "#8a929b"}
    width, bar, gap, left = 760, 15, 16, 190
    parts, y, shown = [], 34, None
    for (cpu, threads, arch, precision), times in groups.items():
        if cpu != shown:
            parts.append(f'<text x="10" y="{y + 12}" font-style="italic">{threads} threads, {cpu}</text>')
            y, shown = y + 2 * bar, cpu
        most = max(times.values())
        parts.append(f'<text x="{left - 10}" y="{y + 12}" text-anchor="end" font-weight="bold">{arch} {precision}</text>')
        for engine in colours:
            if engine not in times:
                continue
            length = (width - left - 150) * times[engine] / most
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 3}" fill="{colours[engine]}"/>')
            parts.append(f'<text x="{left + length + 6:.1f}" y="{y + 10}">{times[engine]:.0f} ms {engine}</text>')
            y += bar
        y += gap
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/><text x="10" y="20">One clip or image, smallest time</text>')
    out.write_text(head + "".join(parts) + "</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vidette", default=str(ROOT / "build/vidette"))
    parser.add_argument("--peers", help="peers.py; without it only Vidette runs")
    parser.add_argument("--python", default="python3", help="the interpreter of peers.py")
    parser.add_argument("--arch", nargs="+", help="default: all")
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", action="store_true")
    args = parser.parse_args()
    if not args.plot:
        common = {**machine(), "threads": args.threads}
        for arch, geometry, batch, precisions, rivals_run in CASES:
            for precision in precisions if not args.arch or arch in args.arch else ():
                if precision not in args.precisions or not runs_in(args.vidette, precision):
                    continue
                rows = [tidy({**common, "arch": arch, "precision": precision, "batch": batch, **row})
                        for row in measure(args, arch, geometry, precision, batch, rivals_run)]
                save_rows(RESULTS, FIELDS, KEY, rows)
                for row in rows:
                    print(", ".join(f"{field} {row[field]}" for field in FIELDS[4:] if row[field]), flush=True)
    plot(ROOT / "docs/dense.svg")


if __name__ == "__main__":
    main()
