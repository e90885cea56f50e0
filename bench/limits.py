#!/usr/bin/env python3
"""What the engine's limits are measured by: writes bench/results/limits.csv.

    python bench/limits.py [--vidette build/vidette] [--clips share/clips] [--under "chrt -f 10"] [--only TEXT]

    threads        one clip or image on one thread and on all: how it scales, and what few tokens cost
    products       the rate of large products, ours against oneDNN's
    memory         peak resident bytes of a whole command beside those of the weights
    long           50,000 tokens
    end to end     100 files: wall time against the CPU seconds of all stages, shared by all cores
"""
import argparse
import json
import os
import shlex
import subprocess
import time
from pathlib import Path

from results import MACHINE, ROOT, json_lines, machine, runs_in, save_rows

RESULTS = "limits.csv"
KEY = ["cpu", "limit", "case", "precision", "threads", "unit"]
FIELDS = [*MACHINE, "limit", "case", "precision", "threads", "value", "unit"]
PRECISIONS = ("f32", "bf16", "int8")
GEOMETRIES = (("videomae-base", 224), ("vit-base", 224), ("vit-base", 64), ("vit-small", 80))


def row(limit, case, precision, threads, value, unit):
    return {"limit": limit, "case": case, "precision": precision, "threads": threads, "value": f"{value:.4g}", "unit": unit}


def bench(args, arch, size, precision, threads):
    return min((json_lines([*args.under, args.vidette, "bench", "--json", "--arch", arch, "--size", str(size), "--precision",
                            precision, "--threads", str(threads)])[0] for _ in range(args.rounds)), key=lambda b: b["ms"]["min"])


def threads(args):
    for arch, size in GEOMETRIES:
        for precision in args.precisions:
            for count in (1, args.threads):
                found = bench(args, arch, size, precision, count)
                yield row("threads", f"{arch} {size}", precision, count, found["ms"]["min"], "ms")


def products(args):
    for precision in args.precisions:
        for count in (1, args.threads):
            peaks = [json_lines([*args.under, args.vidette, "bench", "--json", "--arch", "vit-tiny", "--precision", precision,
                                 "--threads", str(count), "--repeats", "1"])[0]["peaks_gflops"] for _ in range(args.rounds)]
            for engine in ("own", "onednn"):
                best = max(peak[engine] for peak in peaks)
                yield row("products", engine, precision, count, best, "GFLOP/s")


def run_measured(command):
    """Wall and CPU seconds, peak resident bytes, and the output's JSON lines."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = [json.loads(line) for line in process.stdout if line.startswith("{")]
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{shlex.join(command)}: exit status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, lines


def memory(args):
    clip = str(next(Path(args.clips).glob("*.mp4")))
    for precision in (precision for precision in args.precisions if precision != "int8"):
        command = [args.vidette, "classify", "--arch", "videomae-base", "--precision", precision, "--json", clip]
        yield row("memory", "videomae-base 224, one clip", precision, args.threads, run_measured(command)[2] / 1e6, "MB")


def long(args):
    image, precision = ROOT / "docs/view.png", "bf16" if "bf16" in args.precisions else "f32"
    command = [*args.under, args.vidette, "classify", "--arch", "vit-tiny", "--size", "3584", "--precision", precision, "--json", str(image)]
    seconds, _, peak, lines = run_measured(command)
    tokens = lines[0]["tokens"]["total"]
    yield row("long", f"vit-tiny 3584, {tokens} tokens", precision, args.threads, seconds, "s")
    yield row("long", f"vit-tiny 3584, {tokens} tokens", precision, args.threads, peak / 1e6, "MB")


def end_to_end(args):
    clips = sorted(map(str, Path(args.clips).glob("*.mp4")))
    inputs = (clips * 100)[:100]
    for precision in args.precisions:
        runs = [run_measured([*args.under, args.vidette, "classify", "--precision", precision, "--json", *inputs])
                for _ in range(args.rounds)]
        wall, cpu = min(runs, key=lambda run: run[0])[:2]
        yield row("end to end", "100 clips, the small model", precision, args.threads, wall, "s")
        yield row("end to end", "wall / (CPU seconds / threads)", precision, args.threads, wall * args.threads / cpu, "x")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vidette", default=str(ROOT / "build/vidette"))
    parser.add_argument("--clips", default=str(ROOT / "share/clips"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--under", type=shlex.split, default=[], help="a command that runs Vidette")
    parser.add_argument("--only", default="", help="limits that contain this text")
    args = parser.parse_args()
    args.precisions = [precision for precision in PRECISIONS if runs_in(args.vidette, precision)]
    common = machine()
    for limit in (threads, products, memory, long, end_to_end):
        if args.only not in limit.__name__:
            continue
        for found in limit(args):
            save_rows(RESULTS, FIELDS, [*KEY, "unit"], [{**common, **found}])
            print(*(found[field] for field in FIELDS[3:]), flush=True)


if __name__ == "__main__":
    main()
