#!/usr/bin/env python3
"""Writes result files as the tables of README.md and docs, between their markers.

    python bench/tables.py

A marker is a line <!-- dense --> ... <!-- end --> in the page; what stands between is replaced. dense, limits, trials,
fixed_camera, stream and published are files of bench/results; dense_short and dense_goals show rows of dense, stream_goals of
stream. Of the tables of `vidette eval` (eval_demo, ...) the page says which rows there are, by their first three cells, the
file what stands in them.
"""
import re

from results import ROOT, read_rows

NAMES = {"vit-base": "ViT-B 224", "videomae-base": "VideoMAE-B 16 x 224", "vitdet-base-672": "ViTDet-B backbone 672",
         "vitdet-base-1024": "ViTDet-B backbone 1024", "videomae-large": "VideoMAE-L, batch 4, a clip"}
PRECISIONS = ["f32", "bf16", "int8"]


def cell(rows, arch, precision, engine):
    found = [r for r in rows if (r["arch"], r["precision"], r["engine"]) == (arch, precision, engine)]
    return found[0] if found else None


def by_cpu(rows, write):
    """The table of each CPU, in the file's order."""
    cpus = list(dict.fromkeys(row["cpu"] for row in rows))
    return "\n\n".join(write([row for row in rows if row["cpu"] == cpu], cpu) for cpu in cpus)


def with_article(name):
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"


def dense(rows):
    head = ("One clip or image at a time, seeded random weights, the smallest of alternating repeats; efficiency against the\n"
            "largest matrix product rate of that precision, ours or oneDNN's, in the same run.\n\n")
    return head + by_cpu(rows, dense_of)


def dense_of(rows, cpu):
    lines = [f"{rows[0]['threads']} threads of {with_article(cpu)}:", "",
             "| ms (efficiency) | | Vidette | OpenVINO | ONNX Runtime | against the best |", "|---|---|---|---|---|---|"]
    for arch, name in NAMES.items():
        for precision in PRECISIONS:
            own = cell(rows, arch, precision, "vidette")
            if not own:
                continue
            rivals = [cell(rows, arch, precision, engine) for engine in ("openvino", "onnxruntime")]
            shown = [f"{float(r['ms_min']):.0f}" if r else "" for r in rivals]
            ratio = f"{float(own['vs_best_peer']):.2f} x" if own["vs_best_peer"] else ""
            lines.append(f"| {name} | {precision} | {float(own['ms_min']):.0f} ({float(own['efficiency']):.0%}) | "
                         f"{shown[0]} | {shown[1]} | {ratio} |")
    return "\n".join(lines)


def dense_short(rows):
    """All CPUs side by side: our time, and the best rival's that it is."""
    cpus = list(dict.fromkeys(row["cpu"] for row in rows))
    lines = ["| ms, share of the best rival's | | " + " | ".join(cpus) + " |", "|---" * (len(cpus) + 2) + "|"]
    for arch, name in NAMES.items():
        for precision in PRECISIONS:
            found = [cell([row for row in rows if row["cpu"] == cpu and row["vs_best_peer"]], arch, precision, "vidette")
                     for cpu in cpus]
            if not any(found):
                continue
            shown = [f"{float(row['ms_min']):.0f}, {float(row['vs_best_peer']):.2f} x" if row else "" for row in found]
            lines.append(f"| {name} | {precision} | {' | '.join(shown)} |")
    return "\n".join(lines)


# What was aimed at: at most of the best rival's time, at least of the peak.
DENSE_GOALS = {("vit-base", "f32"): (0.90, None), ("vit-base", "bf16"): (0.85, None), ("vit-base", "int8"): (0.85, None),
               ("videomae-base", "f32"): (0.95, 0.88), ("videomae-base", "bf16"): (0.90, 0.87),
               ("videomae-base", "int8"): (0.80, 0.65), ("vitdet-base-672", "f32"): (0.80, None),
               ("vitdet-base-672", "bf16"): (0.80, None), ("vitdet-base-1024", "f32"): (0.80, None),
               ("vitdet-base-1024", "bf16"): (0.80, None), ("videomae-large", "f32"): (None, 0.90),
               ("videomae-large", "bf16"): (None, 0.88), ("videomae-large", "int8"): (None, 0.68)}


def beside_goal(text, reached):
    return text if reached else f"**{text}**"


def goals_head(columns, rows):
    cpus = list(dict.fromkeys(row["cpu"] for row in rows))
    return cpus, [f"| {columns} | aimed at | {' | '.join(cpus)} |", "|---" * (len(cpus) + columns.count("|") + 2) + "|"]


def dense_goals(rows):
    """All CPUs side by side; what misses its goal is bold."""
    cpus, lines = goals_head(" | ", rows)
    for (arch, precision), (most, least) in DENSE_GOALS.items():
        found = [cell([row for row in rows if row["cpu"] == cpu], arch, precision, "vidette") for cpu in cpus]
        if most:
            shown = [beside_goal(f"{float(row['vs_best_peer']):.2f} x", float(row["vs_best_peer"]) <= most) if row else ""
                     for row in found]
            lines.append(f"| {NAMES[arch]} | {precision} | {most:.2f} x | {' | '.join(shown)} |")
        if least:
            shown = [beside_goal(f"{float(row['efficiency']):.0%}", float(row["efficiency"]) >= least) if row else ""
                     for row in found]
            lines.append(f"| {NAMES[arch]} | {precision} | {least:.0%} of the peak | {' | '.join(shown)} |")
    return "\n".join(lines)


def limits(rows):
    return by_cpu(rows, limits_of)


def limits_of(rows, cpu):
    """A line a case, a column a precision; one thread and all in a cell."""
    cells = {}
    for row in rows:
        case = cells.setdefault((row["limit"], row["case"], row["unit"]), {})
        case.setdefault(row["precision"], []).append(row["value"])
    lines = [f"2 cores of {with_article(cpu)}:", "", "| one thread, all threads | f32 | bf16 | int8 |", "|---|---|---|---|"]
    for (limit, case, unit), values in cells.items():
        shown = " | ".join(", ".join(values.get(precision, [])) for precision in PRECISIONS)
        lines.append(f"| {limit}: {case}, {unit} | {shown} |")
    return "\n".join(lines)


def trials(rows):
    return by_cpu(rows, trials_of)


def trials_of(rows, cpu):
    lines = [f"{cpu}:", "", "| trial | case | precision | without, ms | with, ms | |", "|---|---|---|---|---|---|"]
    for row in rows:
        ratio = float(row["with_ms"]) / float(row["without_ms"])
        lines.append(f"| {row['trial']} | {row['case']} | {row['precision']} | {row['without_ms']} | {row['with_ms']} | {ratio:.3f} x |")
    return "\n".join(lines)


STREAMS = {("vitdet-base", "1024", "top:512"): ("ViTDet-B backbone 1024", "512 of 4096"),
           ("vitdet-base", "672", "top:256"): ("ViTDet-B backbone 672", "256 of 1764"),
           ("vit-base", "224", "top:24"): ("ViT-B 224", "24 of 197"), ("vit-base", "224", "top:96"): ("ViT-B 224", "96 of 197")}
MOVING = {"1": "all", "0.125": "an eighth"}


def streams(rows):
    return by_cpu(rows, streams_of)


def streams_of(rows, cpu):
    found = {(row["arch"], row["size"], row["update"], row["moving"], row["precision"]): row
             for row in rows if row["attention"] == "exact"}
    lines = [f"2 threads of {with_article(cpu)}:", "", "| | R of N | patches that change | f32 | bf16 | int8 |",
             "|---|---|---|---|---|---|"]
    for case, (name, share) in STREAMS.items():
        for moving, words in MOVING.items():
            cells = [found.get((*case, moving, precision)) for precision in PRECISIONS]
            if any(cells):
                shown = [f"{float(row['speedup']):.1f} x, {float(row['rate_kept']):.0%}" if row else "" for row in cells]
                lines.append(f"| {name} | {share} | {words} | {' | '.join(shown)} |")
    return "\n".join(lines)


# What was aimed at where every patch changes: how much faster than dense, the share of the dense rate.
STREAM_GOALS = {("vitdet-base", "1024", "top:512", "f32"): (3.5, 0.80), ("vitdet-base", "1024", "top:512", "bf16"): (3.5, 0.80),
                ("vitdet-base", "672", "top:256", "f32"): (None, 0.78), ("vitdet-base", "672", "top:256", "bf16"): (None, 0.78),
                ("vit-base", "224", "top:24", "f32"): (4.0, None), ("vit-base", "224", "top:24", "bf16"): (4.0, None),
                ("vit-base", "224", "top:24", "int8"): (4.0, None)}


def stream_goals(rows):
    cpus, lines = goals_head(" | R of N | ", rows)
    for case, (faster, kept) in STREAM_GOALS.items():
        name, share = STREAMS[case[:3]]
        found = {row["cpu"]: row for row in rows if (row["arch"], row["size"], row["update"], row["precision"]) == case
                 and (row["attention"], row["moving"]) == ("exact", "1")}
        for key, least, form in (("speedup", faster, "{:.2f} x"), ("rate_kept", kept, "{:.1%} of the dense rate")):
            if least:
                shown = [beside_goal(form.split(" of")[0].format(float(found[cpu][key])), float(found[cpu][key]) >= least)
                         if cpu in found else "" for cpu in cpus]
                lines.append(f"| {name} | {share} | {case[3]} | {form.format(least)} | {' | '.join(shown)} |")
    return "\n".join(lines)


def published_one(rows, cpu):
    lines = [f"2 cores of {with_article(cpu)}:", "",
             "| size, R | its A V product in | its dense run, its step, ms | f32 step | bf16 step |", "|---|---|---|---|---|"]
    for row in rows:
        cast = "f32" if row["cast"] == "none" else "bf16"
        dense, step, f32, bf16 = (f"{float(row[key]):.0f}" for key in ("published_dense_ms", "published_step_ms", "f32_step_ms",
                                                                       "bf16_step_ms"))
        lines.append(f"| {row['size']}, {row['r']} | {cast} | {dense}, {step} | {f32}, {float(row['f32_speedup']):.1f} x | "
                     f"{bf16}, {float(row['bf16_speedup']):.1f} x |")
    return "\n".join(lines)


def published(rows):
    return by_cpu(rows, published_one)


def fixed_camera(rows):
    lines = ["| video, clips | | setting | tubelets kept | MACs | model | end to end | demo model: agreement, cosine |",
             "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        if row["setting"] == "dense":
            continue
        kept, macs, agreement = (float(row[key]) for key in ("tokens_kept", "macs_done", "demo_agreement"))
        lines.append(f"| {row['video']}, {row['clips']} | {row['precision']} | {row['setting']} | {kept:.0%} | {macs:.1%} | "
                     f"{row['model_speedup']} x | {row['wall_speedup']} x | {agreement:.0%}, {row['demo_cosine']} |")
    return "\n".join(lines)


def evaluated(row):
    """A line of `vidette eval`'s table: clips have a share of kept tokens, streams one of updated tokens."""
    first, second = ("rlt", "tome") if "rlt" in row else ("update", "attention")
    tokens = row["kept"] if "kept" in row else row["updated"]
    low, high = float(row["low"]), float(row["high"])
    return (f"| {row['kind']} | {row[first]} | {row[second]} | {float(row['accuracy']):.3f} ({low:.2f}-{high:.2f}) | "
            f"{float(row['agreement']):.3f} | {float(row['cosine']):.3f} | {float(tokens):.0%} | "
            f"{float(row['macs_done']) / 1e9:.3f} | {float(row['ms']):.1f} |")


def refill(shown, rows):
    """The lines of a page's table with the numbers of the file."""
    first, second = ("rlt", "tome") if "rlt" in rows[0] else ("update", "attention")
    found = {(row["kind"], row[first], row[second]): row for row in rows}
    lines = []
    for line in shown.strip().splitlines():
        key = tuple(cell.strip() for cell in line.split("|")[1:4])
        lines.append(evaluated(found[key]) if key in found else line)
    return "\n".join(lines)


def main():
    tables = {"dense": ("dense", dense), "dense_short": ("dense", dense_short), "dense_goals": ("dense", dense_goals),
              "limits": ("limits", limits), "trials": ("trials", trials), "fixed_camera": ("fixed_camera", fixed_camera),
              "stream": ("stream", streams), "stream_goals": ("stream", stream_goals), "published": ("published", published)}
    for page in ("README.md", "docs/performance.md", "docs/methods.md", "docs/streams.md"):
        path = ROOT / page
        text = path.read_text()
        for name in ("eval_demo", "eval_demo_rlt", "eval_streams"):
            rows = read_rows(name + ".csv")
            text = re.sub(f"(?<=<!-- {name} -->\\n).*?(?=\\n<!-- end -->)", lambda found: refill(found[0], rows), text, flags=re.S)
        for name, (file, write) in tables.items():
            body = f"<!-- {name} -->\n{write(read_rows(file + '.csv'))}\n<!-- end -->"
            text = re.sub(f"<!-- {name} -->.*?<!-- end -->", lambda _: body, text, flags=re.S)
        path.write_text(text)


if __name__ == "__main__":
    main()
