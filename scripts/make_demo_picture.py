#!/usr/bin/env python3
"""Draws docs/demo.png: what `vidette classify` says of the sample clips, beside frames that it looked at.

    python scripts/make_demo_picture.py [--vidette build/vidette] [--out docs/demo.png]

Needs Pillow and PyAV.
"""
import argparse
import json
import subprocess
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
FRAME = (176, 132)
SHOWN = (0, 5, 10, 15)  # of the clip's 16 frames
MARGIN, BAR, GAP = 14, 250, 6
INK, PALE, BACK = "#1b1f24", "#c9d1d9", "#ffffff"
COLOURS = {"fight": "#c9482b", "noFight": "#2b7fc9"}


def font(size):
    return ImageFont.load_default(size)


def read_frames(path, wanted):
    with av.open(str(path)) as video:
        frames = list(video.decode(video=0))
    return [frames[i].to_image().resize(FRAME, Image.LANCZOS) for i in wanted]


def draw_bar(draw, x, y, label, probability):
    width = BAR - 2 * MARGIN
    draw.text((x, y), label, INK, font(17))
    draw.text((x + width, y), f"{probability:.1%}", INK, font(17), anchor="ra")
    draw.rectangle((x, y + 24, x + width, y + 34), PALE)
    draw.rectangle((x, y + 24, x + round(width * probability), y + 34), COLOURS[label])


def draw_row(picture, draw, top, path, line):
    for i, frame in enumerate(read_frames(path, [line["frames"][k] for k in SHOWN])):
        x = MARGIN + i * (FRAME[0] + GAP)
        picture.paste(frame, (x, top))
        seconds = line["time"][0] + (line["time"][1] - line["time"][0]) * SHOWN[i] / 15
        draw.text((x + 4, top + FRAME[1] - 17), f"{seconds:.2f} s", "white", font(12), stroke_width=2, stroke_fill="black")
    x = MARGIN + len(SHOWN) * (FRAME[0] + GAP) + MARGIN
    draw.text((x, top), path.name, INK, font(15))
    for i, answer in enumerate(line["top"]):
        draw_bar(draw, x, top + 30 + 48 * i, answer["label"], answer["probability"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vidette", default=str(ROOT / "build/vidette"))
    parser.add_argument("--out", default=str(ROOT / "docs/demo.png"))
    args = parser.parse_args()
    clips = sorted((ROOT / "share/clips").glob("*.mp4"))
    answers = subprocess.run([args.vidette, "classify", "--json", *map(str, clips)], check=True, capture_output=True, text=True)
    width = MARGIN + len(SHOWN) * (FRAME[0] + GAP) + BAR
    picture = Image.new("RGB", (width, MARGIN + len(clips) * (FRAME[1] + MARGIN)), BACK)
    draw = ImageDraw.Draw(picture)
    for i, (clip, line) in enumerate(zip(clips, answers.stdout.splitlines())):
        draw_row(picture, draw, MARGIN + i * (FRAME[1] + MARGIN), clip, json.loads(line))
    picture.quantize(128).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
