#!/usr/bin/env python3
"""Streams against dense runs of the same run: writes bench/results/stream.csv.

    python bench/stream.py [--vidette build/vidette] [--rounds 1] [--under "chrt -f 10"] [--only TEXT]

A row a setting: the share of the patches that change in a frame; the fastest step, the median one and the fastest dense
run, which alternate; how much faster the fastest step is; the share of the dense rate that it keeps, (MACs done / time) /
(dense MACs / dense time), both of what was multiplied; an unchanged frame; bytes of state.
"""
import argparse
import shlex

from results import MACHINE, ROOT, json_lines, machine, runs_in, save_rows

RESULTS = "stream.csv"
KEY = ["cpu", "arch", "size", "precision", "update", "attention", "moving"]
FIELDS = [*MACHINE, *KEY[1:], "dense_ms", "step_ms", "median_ms", "first_ms", "unchanged_ms", "speedup", "macs_dense",
          "macs_done", "rate_kept", "afresh_a_step", "state_bytes"]
CASES = [("vit-base", 224, precision, update, "exact", 1)
         for precision in ("f32", "bf16", "int8") for update in ("top:24", "top:96")]
CASES += [("vitdet-base", size, precision, update, "exact", 1) for precision in ("f32", "bf16")
          for size, update in ((672, "top:256"), (672, "top:512"), (1024, "top:512"))]
CASES += [("vitdet-base", 672, "f32", "top:256", "tokenwise", 1), ("vitdet-base", 672, "f32", "top:256", "delta", 1),
          ("vit-base", 224, "f32", "top:24", "delta", 1)]
# As many patches change as are recomputed.
CASES += [("vit-base", 224, precision, "top:24", "exact", 0.125) for precision in ("f32", "bf16", "int8")]
CASES += [("vitdet-base", size, precision, update, "exact", 0.125) for precision in ("f32", "bf16")
          for size, update in ((672, "top:256"), (1024, "top:512"))]


def number(value):
    return "" if value is None else f"{value:.4g}"


def measure(args, arch, size, precision, update, attention, moving):
    command = [*shlex.split(args.under), args.vidette, "bench", "--stream", "--json", "--arch", arch, "--size", str(size),
               "--precision", precision, "--update", update, "--attention", attention, "--moving", str(moving)]
    runs = [json_lines(command)[0] for _ in range(args.rounds)]
    best = min(runs, key=lambda run: run["ms"]["min"])
    dense, ms, macs = min(run["ms"]["dense"] for run in runs), best["ms"], best["macs"]
    return {"arch": arch, "size": size, "precision": precision, "update": update, "attention": attention, "moving": moving,
            "dense_ms": number(dense), "step_ms": number(ms["min"]), "median_ms": number(ms["p50"]),
            "first_ms": number(ms["first"]), "unchanged_ms": number(ms["idle"]), "speedup": f"{dense / ms['min']:.3f}",
            "macs_dense": macs["dense"], "macs_done": macs["done"],
            "rate_kept": f"{best['rate_kept'] * dense / ms['dense']:.3f}",
            "afresh_a_step": number(best["afresh"]), "state_bytes": best["state_bytes"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vidette", default=str(ROOT / "build/vidette"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--under", default="", help="a command that runs Vidette")
    parser.add_argument("--only", default="", help="settings that contain this text")
    args = parser.parse_args()
    common = machine()
    for case in CASES:
        if args.only not in " ".join(map(str, case)) or not runs_in(args.vidette, case[2]):
            continue
        row = {**common, **measure(args, *case)}
        save_rows(RESULTS, FIELDS, KEY, [row])
        print(", ".join(f"{field} {row[field]}" for field in FIELDS[3:-1]), flush=True)


if __name__ == "__main__":
    main()
