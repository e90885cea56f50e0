#!/usr/bin/env python3
"""A design beside the one before it: writes a row of bench/results/trials.csv.

    python bench/trials.py TRIAL --without OLD/vidette --with NEW/vidette [--rounds 5] [--under "chrt -f 10"] -- BENCH OPTIONS

    python bench/trials.py "panels fetched ahead" --without old/vidette --with build/vidette -- --arch vit-base --precision bf16

The two builds run by turns; the smallest time of each counts.
"""
import argparse
import os
import shlex

from results import MACHINE, json_lines, machine, save_rows

RESULTS = "trials.csv"
KEY = ["cpu", "trial", "case", "precision"]
FIELDS = [*MACHINE, *KEY[1:], "without_ms", "with_ms"]


def fastest(args, vidette):
    folder = os.path.dirname(os.path.realpath(vidette))  # its own library stands beside it
    environment = {**os.environ, "LD_LIBRARY_PATH": folder}
    return json_lines([*args.under, vidette, "bench", "--json", *args.bench], env=environment)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trial")
    parser.add_argument("--without", required=True)
    parser.add_argument("--with", required=True, dest="with_")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--under", type=shlex.split, default=[], help="a command that runs Vidette")
    parser.add_argument("bench", nargs="+", help="options of vidette bench")
    args = parser.parse_args()
    times = {args.without: [], args.with_: []}
    for _ in range(args.rounds):
        for vidette, found in times.items():
            line = fastest(args, vidette)
            found.append(line["ms"]["min"])
    case = " ".join(option for option in args.bench if option not in ("--precision", line["precision"])).replace("--", "")
    row = {**machine(), "trial": args.trial, "case": case, "precision": line["precision"],
           "without_ms": f"{min(times[args.without]):.4g}", "with_ms": f"{min(times[args.with_]):.4g}"}
    save_rows(RESULTS, FIELDS, KEY, [row])
    print(*(row[field] for field in FIELDS[3:]))


if __name__ == "__main__":
    main()
