#!/usr/bin/env python3
"""What reduction saves, in operations and in time: writes bench/results/reduction.csv.

    bench/reduction.py [--vidette build/vidette] [--repeats 3] [--under "chrt -f 10"] [--only TEXT]

Each row is the fastest of some runs of `vidette bench`, in which dense and reduced runs alternate.

    rate kept = (MACs done / time) / (dense MACs / dense time)

is 100 % where every saved operation became saved time; more, where what was saved ran slower than the rest
(attention over fewer tokens). Only rows that were measured are replaced in the file.
"""
import argparse
import os
import shlex

from results import MACHINE, ROOT, json_lines, machine, save_rows

RESULTS = "reduction.csv"
KEY = ("arch", "precision", "batch", "setting")
COLUMNS = (*MACHINE, "threads", *KEY, "tokens_kept", "tokens_final", "macs_dense", "macs_done",
           "ms_dense", "ms_reduced", "ms_decide", "ms_merge", "rate_kept", "speedup")
SETTINGS = (  # arch, clips a call, options
    ("videomae-base", 4, "--rlt keep:1098"), ("videomae-base", 4, "--rlt keep:784"),
    ("videomae-base", 4, "--rlt keep:314"), ("videomae-base", 1, "--tome 65"),
    ("videomae-base", 1, "--rlt keep:549 --tome 20"), ("vit-large", 8, "--tome 8"),
    ("videomae-large", 1, "--tome 65"),
)


def measure(arguments, arch, batch, options, precision):
    command = [*shlex.split(arguments.under), arguments.vidette, "bench", "--arch", arch, "--batch", str(batch),
               "--precision", precision, "--repeats", "1", "--json", *options.split()]
    runs = [json_lines(command)[0] for _ in range(arguments.repeats)]
    best = min(runs, key=lambda run: run["ms"]["min"])
    dense = min(run["ms_dense"]["min"] for run in runs)
    speedup = dense / best["ms"]["min"]
    return {"arch": arch, "precision": best["precision"], "batch": str(batch), "setting": options,
            "tokens_kept": best["tokens"]["kept"], "tokens_final": best["tokens"]["final"],
            "macs_dense": best["macs"]["dense"], "macs_done": best["macs"]["done"], "ms_dense": f"{dense:.1f}",
            "ms_reduced": f"{best['ms']['min']:.1f}", "ms_decide": f"{best['stages']['decide']:.3f}",
            "ms_merge": f"{best['stages']['merge']:.2f}",
            "rate_kept": f"{speedup * best['macs']['done'] / best['macs']['dense']:.3f}", "speedup": f"{speedup:.2f}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vidette", default=str(ROOT / "build" / "vidette"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--under", default="")
    parser.add_argument("--only", default="", help="settings that contain this text")
    arguments = parser.parse_args()
    common = machine() | {"threads": len(os.sched_getaffinity(0))}
    for precision in ("bf16", "f32"):
        for arch, batch, options in SETTINGS:
            if arguments.only not in f"{precision} {arch} {options}":
                continue
            row = common | measure(arguments, arch, batch, options, precision)
            print(*(row[column] for column in (*KEY, "ms_dense", "ms_reduced", "rate_kept", "speedup")), flush=True)
            save_rows(RESULTS, COLUMNS, KEY, [row])


if __name__ == "__main__":
    main()
