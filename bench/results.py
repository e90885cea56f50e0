"""Result files: bench/results/*.csv, whose rows name the machine they come from and are replaced one by one."""
import csv
import datetime
import functools
import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MACHINE = ["date", "commit", "cpu"]


def cpu_name():
    fields = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    return f"{fields['model name']} (family {fields['cpu family']} model {fields['model']})"


def machine():
    """What every row begins with."""
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True)
    return {"date": datetime.date.today().isoformat(), "commit": commit.stdout.strip(), "cpu": cpu_name()}


def read_rows(name):
    path = ROOT / "bench/results" / name
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def save_rows(name, fields, key, new):
    """Rows of the same key are replaced where they stand, others added behind; a changed row is a reviewed diff."""
    key_of = lambda row: tuple(str(row[field]) for field in key)
    rows = {key_of(row): row for row in read_rows(name)}
    rows.update({key_of(row): row for row in new})
    with open(ROOT / "bench/results" / name, "w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


def json_lines(command, **options):
    """The objects that a command prints, a line each."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@functools.cache
def runs_in(vidette, precision):
    """False where the CPU lacks the arithmetic, and Vidette so runs in another precision."""
    return json_lines([vidette, "bench", "--json", "--arch", "vit-tiny", "--size", "32", "--precision", precision])[0]["precision"] == precision
