"""Image processors of transformers (the slow ones, which use Pillow), in NumPy: frames -> pixel values.

    bytes -> resize -> centre crop -> rescale -> normalise

The resize is Pillow's (up to version 12), written out: each output pixel is a weighted sum over a window
of input pixels, horizontally and then vertically, each pass rounded to bytes. Weights are computed in
double and rounded to integers with 22 fractional bits, so results are exact: byte for byte Pillow's.
"""
import json
import math
from pathlib import Path

import numpy as np

# ---- Pillow's resize ----------------------------------------------------------------------------------

NEAREST, LANCZOS, BILINEAR, BICUBIC = range(4)  # Pillow's numbers


def triangle(x):
    return max(1 - abs(x), 0.0)


def bicubic(x, a=-0.5):
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def sinc(x):
    return math.sin(x * math.pi) / (x * math.pi) if x else 1.0


def lanczos(x):
    return sinc(x) * sinc(x / 3) if -3 <= x < 3 else 0.0


FILTERS = {LANCZOS: (lanczos, 3.0), BILINEAR: (triangle, 1.0), BICUBIC: (bicubic, 2.0)}  # and their support
FRACTION_BITS = 22


def round_away(x):
    return math.floor(x + 0.5) if x >= 0 else math.ceil(x - 0.5)


def resize_weights(n_in, n_out, resample):
    """(n_out, n_in) integers: row i holds the weights of output i, zero outside its window."""
    kernel, support = FILTERS[resample]
    scale = n_in / n_out
    stretch = max(scale, 1.0)  # antialiasing: the kernel covers what one output pixel covers
    weights = np.zeros((n_out, n_in), np.int64)
    for i in range(n_out):
        centre = (i + 0.5) * scale
        first = max(int(centre - support * stretch + 0.5), 0)
        end = min(int(centre + support * stretch + 0.5), n_in)
        window = [kernel((j - centre + 0.5) * (1 / stretch)) for j in range(first, end)]
        total = sum(window)
        for j, weight in enumerate(window):
            weights[i, first + j] = round_away((weight / total if total else weight) * (1 << FRACTION_BITS))
    return weights


def resize_pass(image, n_out, resample):
    """The first axis of `image`, (n_in, m, 3) bytes, to n_out."""
    if len(image) == n_out:
        return image
    sums = np.tensordot(resize_weights(len(image), n_out, resample), image.astype(np.int64), 1)
    return np.clip((sums + (1 << FRACTION_BITS - 1)) >> FRACTION_BITS, 0, 255).astype(np.uint8)


def nearest_indices(n_in, n_out):
    """Pillow walks in steps of the scale, adding it up."""
    step = n_in / n_out
    at = np.cumsum([0.5 * step] + [step] * (n_out - 1))
    return np.minimum(at.astype(np.int64), n_in - 1)


def resize(image, h, w, resample):
    """(H, W, 3) bytes -> (h, w, 3) bytes."""
    if resample == NEAREST:
        return image[nearest_indices(image.shape[0], h)][:, nearest_indices(image.shape[1], w)]
    across = resize_pass(image.transpose(1, 0, 2), w, resample).transpose(1, 0, 2)
    return resize_pass(across, h, resample)


# ---- a processor --------------------------------------------------------------------------------------

HALF = [0.5, 0.5, 0.5]
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def defaults(size, crop=None, resample=BILINEAR, mean=HALF, std=HALF, rescale_factor=1 / 255, **more):
    return dict(do_resize=True, size=size, resample=resample, do_center_crop=crop is not None, crop_size=crop,
                do_rescale=True, rescale_factor=rescale_factor, do_normalize=True, image_mean=mean, image_std=std,
                offset=False, **more)


DEFAULTS = {  # by the family's class
    "VideoMAE": defaults({"shortest_edge": 224}, 224),
    "Vivit": defaults({"shortest_edge": 256}, 224, rescale_factor=1 / 127.5) | {"offset": True},
    "ViT": defaults(224),
    "DeiT": defaults(256, 224, BICUBIC),
    "Bit": defaults({"shortest_edge": 224}, 224, BICUBIC, CLIP_MEAN, CLIP_STD),
    "CLIP": defaults({"shortest_edge": 224}, 224, BICUBIC, CLIP_MEAN, CLIP_STD),
    "Siglip": defaults(224, None, BICUBIC),
}
INTEGER_IS_SHORTEST_EDGE = ("VideoMAE", "Vivit", "Bit", "CLIP")  # what a bare `size` means; else a square


def read_fields(directory):
    """The processor's fields, from whichever of its files is there."""
    for file, key in (("processor_config.json", "video_processor"), ("video_preprocessor_config.json", None),
                      ("preprocessor_config.json", None), ("processor_config.json", "image_processor")):
        path = Path(directory) / file
        content = json.loads(path.read_text()) if path.exists() else {}
        if content and (key is None or key in content):
            return content[key] if key else content
    return {}


def read_processor(directory, family):
    """The directory's fields over the family's defaults. An explicit null turns a step off."""
    fields = read_fields(directory)
    flags = {key: bool(value) for key, value in fields.items() if key.startswith("do_") or key == "offset"}
    rest = {key: value for key, value in fields.items() if value is not None}
    processor = DEFAULTS[family] | rest | flags
    if isinstance(processor["size"], int) and family in INTEGER_IS_SHORTEST_EDGE:
        processor["size"] = {"shortest_edge": processor["size"]}
    return processor


def target_size(size, H, W):
    """(h, w) of the resize. The longer side of a shortest-edge resize is truncated."""
    if isinstance(size, int):
        return size, size
    if "shortest_edge" in size:
        edge = size["shortest_edge"]
        return (int(edge * H / W), edge) if W <= H else (edge, int(edge * W / H))
    return size["height"], size["width"]


def centre_crop(image, size):
    """(H, W, 3) -> (h, w, 3) from floor((H - h) / 2) on; where that is negative, zeros surround the image."""
    h, w = target_size(size, None, None)
    top, left = (image.shape[0] - h) // 2, (image.shape[1] - w) // 2
    y, x = np.arange(top, top + h), np.arange(left, left + w)
    inside = ((0 <= y) & (y < image.shape[0]))[:, None] & ((0 <= x) & (x < image.shape[1]))
    picked = image[np.clip(y, 0, image.shape[0] - 1)][:, np.clip(x, 0, image.shape[1] - 1)]
    return np.where(inside[..., None], picked, 0).astype(image.dtype)


def process_frame(image, processor):
    """(H, W, 3) bytes -> (3, h, w) float32, with the roundings of the original."""
    if processor["do_resize"]:
        image = resize(image, *target_size(processor["size"], *image.shape[:2]), processor["resample"])
    if processor["do_center_crop"]:
        image = centre_crop(image, processor["crop_size"])
    x = image.astype(np.float32)
    if processor["do_rescale"]:
        x = (image.astype(np.float64) * processor["rescale_factor"]).astype(np.float32)
        x = x - np.float32(1) if processor["offset"] else x
    if processor["do_normalize"]:
        x = (x - np.float32(processor["image_mean"])) / np.float32(processor["image_std"])
    return x.transpose(2, 0, 1)


def pixel_values(directory, frames, family):
    """(T, H, W, 3) bytes -> (T, 3, h, w) float32. `family` names the class whose defaults apply."""
    processor = read_processor(directory, family)
    return np.stack([process_frame(frame, processor) for frame in frames])
