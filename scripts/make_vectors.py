#!/usr/bin/env python3
"""Makes tests/vectors/*.csv: what Pillow, PyAV and NumPy give, as hashes and indices that C can check.

    pip install -r scripts/requirements.txt
    python scripts/make_vectors.py [resize] [sampling] [frames [CLIP...]] [--out DIR]

    resize.csv    Pillow's resize of random bytes, 4 filters x 200 size pairs
    sampling.csv  which frames a clip takes
    frames.csv    every frame of the clips (default: share/clips/*.mp4) as PyAV decodes it to rgb24

Without arguments all three are made; frames are left out while there are no clips. A hash is FNV-1a of
64 bits over the bytes: h = 14695981039346656037; for each byte, h = (h ^ byte) * 1099511628211 mod 2^64.
Each file's first line is a comment that says how to reproduce what the hashes are of.
"""
import argparse
import csv
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"
CLIPS = ROOT / "share" / "clips"
MASK = (1 << 64) - 1


def write_csv(path, comment, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        file.write(f"# {comment}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    print(f"{path}: {len(rows)} rows")


# ---- hashes and bytes -----------------------------------------------------------------------------------


def fnv64(data):
    h = 14695981039346656037
    for byte in data:
        h = (h ^ byte) * 1099511628211 & MASK
    return f"{h:016x}"


def fnv64_of_rows(rows):
    """The hash of each row of a uint8 array (n, bytes), all rows at a time."""
    h = np.full(len(rows), 14695981039346656037, np.uint64)
    for column in np.ascontiguousarray(rows.T):
        h = (h ^ column) * np.uint64(1099511628211)
    return [f"{int(value):016x}" for value in h]


def random_bytes(seed, count):
    """xorshift64* (Vigna 2016), eight bytes a number, least significant first."""
    state, numbers = seed | 1, []
    for _ in range((count + 7) // 8):
        state ^= state >> 12
        state ^= state << 25 & MASK
        state ^= state >> 27
        numbers.append(state * 0x2545F4914F6CDD1D & MASK)
    return np.array(numbers, "<u8").view(np.uint8)[:count]


# ---- resize ---------------------------------------------------------------------------------------------

RESIZE_COMMENT = (
    "input: in_height x in_width RGB pixels, row by row, the first bytes of xorshift64* from state = seed | 1; "
    "a number is x ^= x >> 12, x ^= x << 25, x ^= x >> 27, then x * 0x2545F4914F6CDD1D mod 2^64, and gives 8 bytes, "
    "least significant first. filter: Pillow's number. fnv64: FNV-1a over the output's bytes")
PAIRS = 200


def random_side(rng):
    kind = rng.integers(10)
    if kind == 0:
        return 1
    if kind == 1:
        return int(rng.integers(2, 5))
    return int(rng.integers(5, 151))


def random_sizes(rng, i):
    """(in_width, in_height, out_width, out_height); every sixth keeps its width, its height or both."""
    sizes = [random_side(rng) for _ in range(4)]
    if i % 6 == 0:
        sizes[2] = sizes[0]
    if i % 6 == 1:
        sizes[3] = sizes[1]
    if i % 60 == 0:
        sizes[3] = sizes[1]
    return sizes


def resize_row(resample, sizes, seed):
    from PIL import Image
    in_width, in_height, out_width, out_height = sizes
    pixels = random_bytes(seed, 3 * in_width * in_height).reshape(in_height, in_width, 3)
    out = Image.fromarray(pixels).resize((out_width, out_height), resample)
    return [resample, *sizes, seed, fnv64(out.tobytes())]


def make_resize(out):
    import PIL
    if int(PIL.__version__.split(".")[0]) > 12:
        raise SystemExit(f"Pillow {PIL.__version__}: from 13 on its passes may run the other way round; use 12")
    rng = np.random.default_rng(20240501)
    rows = [resize_row(resample, random_sizes(rng, i), int(rng.integers(1, 1 << 48)))
            for resample in range(4) for i in range(PAIRS)]
    header = ["filter", "in_width", "in_height", "out_width", "out_height", "seed", "fnv64"]
    write_csv(out / "resize.csv", RESIZE_COMMENT, header, rows)


# ---- sampling -------------------------------------------------------------------------------------------

SAMPLING_COMMENT = (
    "the n frames that a clip takes of a video of `total` frames. center: span = (n - 1) rate + 1 from "
    "max(0, (total - span) // 2) on. uniform: the first n of arange(0, total, total / n), truncated: i times the "
    "rounded step, now and then one below floor(i total / n). hf-pipeline: linspace(0, n rate - 1, n) as int64. "
    "All are at most total - 1")


def center_indices(total, n, rate):
    span = (n - 1) * rate + 1
    return np.minimum(max(0, (total - span) // 2) + np.arange(n) * rate, total - 1)


def uniform_indices(total, n, rate):
    return np.arange(0, total, total / n)[:n].astype(np.int64)


def pipeline_indices(total, n, rate):
    return np.minimum(np.linspace(0, n * rate - 1, num=n, dtype=np.int64), total - 1)


SAMPLINGS = {"center": center_indices, "uniform": uniform_indices, "hf-pipeline": pipeline_indices}


def rounding_shows(total, n):
    return (uniform_indices(total, n, 1) != np.arange(n) * total // n).any()


def random_sampling(rng):
    total = int(rng.integers(1, 40) if rng.integers(2) else rng.integers(1, 2000))
    n = int(rng.choice([1, 2, 3, 5, 7, 8, 10, 12, 16, 24, 32, 64]))
    return total, n, int(rng.integers(1, 9))


def make_sampling(out):
    rng = np.random.default_rng(20240502)
    cases = [(kind, *random_sampling(rng)) for kind in SAMPLINGS for _ in range(34)]
    cases += [("uniform", total, 24, 1) for total in range(1, 2000) if rounding_shows(total, 24)]
    rows = [[kind, *case, " ".join(map(str, SAMPLINGS[kind](*case)))] for kind, *case in cases]
    write_csv(out / "sampling.csv", SAMPLING_COMMENT, ["kind", "total", "n", "rate", "indices"], rows)


# ---- frames ---------------------------------------------------------------------------------------------

FRAMES_COMMENT = (
    "file: from the project's root. Every frame that PyAV decodes, in order of presentation, as "
    "to_ndarray(format='rgb24'). pts_seconds: its time stamp in the file, from the file's own zero. fnv64: FNV-1a "
    "over its bytes, row by row without padding")
BATCH = 32  # frames hashed at a time


def read_frames(path):
    """(pts in seconds, (H, W, 3) bytes) of each frame."""
    import av
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24")


def hash_batch(batch):
    """Hashes of frames that may differ in size."""
    if len({pixels.shape for _, pixels in batch}) == 1:
        return fnv64_of_rows(np.stack([pixels.reshape(-1) for _, pixels in batch]))
    return [fnv64(pixels.tobytes()) for _, pixels in batch]


def name_in_tree(path):
    """Relative to the project's root where the clip is inside it."""
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def frame_rows(path):
    rows, batch, name = [], [], name_in_tree(path)

    def flush():
        for (pts, pixels), digest in zip(batch, hash_batch(batch)):
            rows.append([name, len(rows), f"{pts:.6f}", pixels.shape[1], pixels.shape[0], digest])
        batch.clear()

    for item in read_frames(path):
        batch.append(item)
        if len(batch) == BATCH:
            flush()
    if batch:
        flush()
    return rows


def make_frames(out, clips):
    clips = [Path(clip) for clip in clips] or sorted(CLIPS.glob("*.mp4"))
    if not clips:
        print("frames.csv: no clips in share/clips, left as it is")
        return
    rows = [row for clip in clips for row in frame_rows(clip)]
    header = ["file", "frame", "pts_seconds", "width", "height", "fnv64"]
    write_csv(out / "frames.csv", FRAMES_COMMENT, header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="*", metavar="resize|sampling|frames [CLIP...]", help="default: all")
    parser.add_argument("--out", type=Path, default=VECTORS, help="default: tests/vectors")
    arguments = parser.parse_args()
    what = arguments.what
    clips = what[what.index("frames") + 1:] if "frames" in what else []
    parts = what[:len(what) - len(clips)] or ["resize", "sampling", "frames"]
    unknown = set(parts) - {"resize", "sampling", "frames"}
    if unknown:
        parser.error(f"expected resize, sampling or frames, found {', '.join(sorted(unknown))}")
    if "resize" in parts:
        make_resize(arguments.out)
    if "sampling" in parts:
        make_sampling(arguments.out)
    if "frames" in parts:
        make_frames(arguments.out, clips)


if __name__ == "__main__":
    main()
