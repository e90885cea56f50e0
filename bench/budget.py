#!/usr/bin/env python3
"""How well streams keep a deadline: runs one in real time and adds a row to bench/results/budget.csv.

    python bench/budget.py VIDEO [--arch vit-base] [--precision f32] [--budget 40]

Percentiles are of the steps after the tenth; `used` is their mean over the deadline. Neighbours on the machine are part of what
is measured: `load` is the load average at the start, `stolen` the time that other virtual machines took, of all in which ours wanted to
run.
"""
import argparse
import json
import os
import subprocess
from pathlib import Path

from results import MACHINE, ROOT, machine, read_rows, save_rows

RESULTS = "budget.csv"
FIELDS = [*MACHINE, "run", "load", "video", "arch", "precision", "deadline_ms", "steps", "p50", "p95", "p99", "max", "used",
          "missed", "over_5_percent", "r_median", "stolen"]


def processor_times():
    """Of all processors since the start: that in which something ran, and that in which another machine ran instead."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    return user + nice + system + irq + softirq, steal


def measure(args):
    ran_before, stolen_before = processor_times()
    done = subprocess.run([args.vidette, "stream", "--arch", args.arch, "--precision", args.precision, "--budget", str(args.budget),
                           "--realtime", "--json", str(args.video)], check=True, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    lines = [line for line in lines if "frame" in line and not line["first"]][10:]
    ms = sorted(line["ms"]["step"] for line in lines)
    ran, stolen = (now - before for now, before in zip(processor_times(), (ran_before, stolen_before)))
    at = lambda share: round(ms[int(share * (len(ms) - 1))], 2)
    return {"steps": len(ms), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1),
            "used": round(sum(ms) / len(ms) / args.budget, 4), "missed": sum(x > args.budget for x in ms),
            "over_5_percent": sum(x > 1.05 * args.budget for x in ms), "r_median": sorted(line["r"] for line in lines)[len(ms) // 2],
            "stolen": round(stolen / (ran + stolen), 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--arch", default="vit-base")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--budget", type=float, default=40.0)
    parser.add_argument("--vidette", default=str(ROOT / "build/vidette"))
    args = parser.parse_args()
    row = {**machine(), "run": len(read_rows(RESULTS)) + 1, "load": round(os.getloadavg()[0], 1), "video": args.video.name,
           "arch": args.arch, "precision": args.precision, "deadline_ms": args.budget, **measure(args)}
    save_rows(RESULTS, FIELDS, ["run"], [row])
    print(row)


if __name__ == "__main__":
    main()
