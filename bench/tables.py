#!/usr/bin/env python3
"""Writes bench/results/dense.csv as the tables of README.md and docs/performance.md, between their markers.

    python bench/tables.py

A marker is a line <!-- dense --> ... <!-- end --> in the page; what stands between is replaced.
"""
import re

from results import ROOT, read_rows

NAMES = {"vit-base": "ViT-B 224", "videomae-base": "VideoMAE-B 16 x 224", "vitdet-base-672": "ViTDet-B backbone 672",
         "vitdet-base-1024": "ViTDet-B backbone 1024", "videomae-large": "VideoMAE-L, batch 4, a clip"}
PRECISIONS = ["f32", "bf16", "int8"]


def cell(rows, arch, precision, engine):
    found = [r for r in rows if (r["arch"], r["precision"], r["engine"]) == (arch, precision, engine)]
    return found[0] if found else None


def table(rows):
    lines = ["| ms (efficiency) | | Vidette | OpenVINO | ONNX Runtime | against the best |", "|---|---|---|---|---|---|"]
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
    first = rows[0]
    head = (f"{first['threads']} threads of an {first['cpu']}, one clip or image at a time, seeded random weights, the smallest "
            "of alternating\nrepeats; efficiency against the largest matrix product rate of that precision, ours or oneDNN's, "
            "in the same run.\n\n")
    return head + "\n".join(lines)


def main():
    text = f"<!-- dense -->\n{table(read_rows('dense.csv'))}\n<!-- end -->"
    for page in ("README.md", "docs/performance.md"):
        path = ROOT / page
        path.write_text(re.sub(r"<!-- dense -->.*?<!-- end -->", lambda _: text, path.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
