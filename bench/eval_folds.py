#!/usr/bin/env python3
"""What RLT costs in quality on clips that no model was trained on, five folds pooled: where settings are chosen.

    python bench/eval_folds.py FOLDS rlt --data surveillance-fight [--vidette build/vidette] [EVAL OPTIONS...]

FOLDS is what `scripts/train_rlt.py --cv FOLDS` wrote; `rlt`, `control` or `demo` says which models. Further options
go to `vidette eval`. Prints a line a setting: accuracy, agreement with the same model dense and the cosine of the
logits, each over all held-out clips.
"""
import argparse
import csv
import subprocess
import tempfile
from pathlib import Path


def evaluate(args, options, fold, work):
    table = Path(work) / f"fold{fold}.csv"
    subprocess.run([args.vidette, "eval", "-m", args.folds / f"{args.name}{fold}", args.folds / f"list{fold}.csv",
                    "--root", args.data, "-o", table, "--progress", "never", *options], check=True,
                   stdout=subprocess.DEVNULL)
    with open(table.with_suffix(".clips.csv"), newline="") as file:
        return [row | {"fold": fold} for row in csv.DictReader(file)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folds", type=Path)
    parser.add_argument("name")
    parser.add_argument("--data", required=True)
    parser.add_argument("--vidette", default="build/vidette")
    parser.add_argument("--only", type=int, nargs="+", default=range(5), help="these folds")
    args, options = parser.parse_known_args()
    settings = {}
    with tempfile.TemporaryDirectory() as work:
        for fold in args.only:
            for row in evaluate(args, options, fold, work):
                settings.setdefault((row["rlt"], row["tome"], row["kind"]), []).append(row)
    print("rlt,tome,kind,clips,accuracy,agreement,cosine,kept,macs")
    for (rlt, tome, kind), rows in settings.items():
        n = len(rows)
        mean = [sum(values) / n for values in (
            [r["predicted"] == r["label"] for r in rows], [r["predicted"] == r["dense"] for r in rows],
            [float(r["cosine"]) for r in rows], [int(r["kept"]) / int(r["total"]) for r in rows],
            [int(r["macs"]) / int(r["macs_dense"]) for r in rows])]
        print(",".join([rlt, tome, kind, str(n), *(f"{x:.4f}" for x in mean)]))


if __name__ == "__main__":
    main()
