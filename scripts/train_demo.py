#!/usr/bin/env python3
"""Trains the small models that Vidette ships, share/fight-videomae-tiny and share/fight-vivit-tiny, from 300
labelled clips.

    python scripts/train_demo.py --data surveillance-fight --out share/fight-videomae-tiny --cv
    python scripts/train_demo.py --data surveillance-fight --out share/fight-vivit-tiny --family vivit_fe --cv

DATA is the surveillance camera fight dataset (Akti, Tataroglu, Ekenel, IPTA 2019; MIT licence):
https://github.com/seymanurakti/fight-detection-surv-dataset, with fight/, noFight/ and videos.txt.

Steps, each one function below:

1. cache      decode every clip once: all frames at 160 x 160 for training, and the exact model input
2. split      60/15/25 % per class; all clips cut from one source video stay in one part
3. baselines  the majority class; logistic regression on frame differences
4. teacher    a small 3-D CNN on hand-made motion statistics of each tubelet (fast to train, BatchNorm)
5. student    the VideoMAE: its tubelet embedding and first MLP start as a closed-form motion detector, and
              all its tokens learn the teacher's features while half of them are dropped
   factorised with --family vivit_fe a second student, a factorised ViViT that starts from the VideoMAE of the same
              clips and learns from the same teacher; its snippets' class tokens learn the mean of their snippet
6. model      the same on train + validation; with several --seeds, the one with the lowest training loss is kept
7. export     rounded to float16, loaded again, and only then measured on the test part

`--cv` repeats steps 4 and 5 in five folds of train + validation: that is where the recipe was chosen, and
the card says what it gave. Two cores of a 2023 server, otherwise idle: about 15 minutes,
45 with --cv.
The working folder (--work) takes 1.6 GB; finished parts found in it are not computed again, and
scripts/train_rlt.py goes on from there with RLT in the loop.
Needs torch, transformers 4.57, PyAV and Pillow 12. Seeds are fixed, but bfloat16 arithmetic differs between
processors, so another machine gives another model, a few clips better or worse.
"""
import argparse
import csv
import json
import math
import multiprocessing
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEImageProcessor

from demo_card import copy_samples, write_card
from factorised import FactorisedVivit, load_factorised, save_factorised, start_from_videomae

LABELS = ["noFight", "fight"]  # index = class id
FRAMES, TUBELET, PATCH, SIDE, RATE = 16, 2, 16, 112, 3
GRID = SIDE // PATCH
TOKENS = FRAMES // TUBELET * GRID * GRID
WIDTH, LAYERS, HEADS = 192, 4, 3
CACHE_SIDE = 160

SPLIT_SEED, FOLD_SEED, FOLDS = 2019, 7, 5
SPLIT = {"train": [90, 90], "val": [23, 22], "test": [37, 38]}  # clips of each class

TEACHER = dict(epochs=45, batch=8, rate=1.5e-3, betas=(0.9, 0.98), warmup=0.10, ema=0.99)
STUDENT = dict(epochs=45, batch=12, rate=1.5e-3, betas=(0.9, 0.95), warmup=0.08, ema=0.99)
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
FACTORISED = dict(epochs=30, batch=12, rate=8e-4, betas=(0.9, 0.95), warmup=0.08, ema=0.99)
TEMPORAL_LAYERS = 2
TEACHER_SHARE = 0.7  # of the student's target; the rest is the label
KEEP = 0.5  # tokens of a training clip that the student sees
FEATURES = 96  # channels of the teacher's last map

IMAGE_MEAN, IMAGE_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
MEAN = torch.tensor(IMAGE_MEAN).view(1, 1, 3, 1, 1)
STD = torch.tensor(IMAGE_STD).view(1, 1, 3, 1, 1)


# ---------------------------------------------------------------- clips, sources, split


def list_clips(data):
    """Paths relative to the dataset, sorted, as they stand in split.csv."""
    return sorted(str(p.relative_to(data)) for p in data.glob("*/*.mp4"))


def class_id(clip):
    return LABELS.index(clip.split("/")[0])


def read_sources(data):
    """Clip stem -> the video it was cut from, out of videos.txt.

    The file has a URL followed by its clips, then two ranges from other datasets. nofi022 and nofi076 stand
    twice; the first place fits their pictures.
    """
    sources, url = {}, None
    for line in (data / "videos.txt").read_text(encoding="utf-8").splitlines():
        line = line.strip()
        if line.startswith("http"):
            url = line
        elif found := re.match(r"(nofi|fi)(\d+) - (?:nofi|fi)(\d+) : (.+)", line):
            stem, first, last, dataset = found.groups()
            for number in range(int(first), int(last) + 1):
                sources.setdefault(f"{stem}{number:03d}", dataset)
        elif found := re.match(r"((?:nofi|fi)\d+):", line):
            sources.setdefault(found[1], url)
    return sources


def clips_by_source(clips, data):
    sources, groups = read_sources(data), {}
    for clip in clips:
        groups.setdefault(sources[Path(clip).stem], []).append(clip)
    return groups


def count_classes(clips):
    fights = sum(class_id(c) for c in clips)
    return [len(clips) - fights, fights]


def make_split(groups):
    """Clip -> train, val or test. Draws whole sources until every part holds exactly its number of clips."""
    draw = random.Random(SPLIT_SEED)
    names = sorted(groups)
    while True:
        room, part = {p: list(n) for p, n in SPLIT.items()}, {}
        draw.shuffle(names)
        for name in names:
            need = count_classes(groups[name])
            fits = [p for p, n in room.items() if n[0] >= need[0] and n[1] >= need[1]]
            if not fits:
                break
            chosen = draw.choices(fits, [sum(room[p]) for p in fits])[0]
            room[chosen] = [n - k for n, k in zip(room[chosen], need)]
            part.update({clip: chosen for clip in groups[name]})
        else:
            return part


def make_folds(groups):
    """Clip -> fold. The most even of 20000 random assignments of whole sources."""
    draw, best = random.Random(FOLD_SEED), None
    names = sorted(groups)
    need = np.array([count_classes(groups[n]) for n in names])
    for _ in range(20000):
        fold = [draw.randrange(FOLDS) for _ in names]
        counts = np.zeros((FOLDS, 2))
        np.add.at(counts, fold, need)
        spread = ((counts - counts.mean(0)) ** 2).sum()
        if best is None or spread < best[0]:
            best = spread, fold
    return {clip: f for name, f in zip(names, best[1]) for clip in groups[name]}


# ---------------------------------------------------------------- pixels


def decode(path):
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def centre_indices(total):
    """FRAMES indices, RATE apart, around the middle; the last frame repeats where the clip is short."""
    start = max(0, (total - (FRAMES - 1) * RATE - 1) // 2)
    return [min(start + i * RATE, total - 1) for i in range(FRAMES)]


def make_processor():
    side = {"height": SIDE, "width": SIDE}
    return VideoMAEImageProcessor(size=side, do_center_crop=False, crop_size=side, resample=2,
                                  image_mean=IMAGE_MEAN, image_std=IMAGE_STD)


def build_cache(data, clips, work):
    """All frames of all clips at CACHE_SIDE (frames.npy), and the resized bytes of the model input (inputs.npy)."""
    work.mkdir(parents=True, exist_ok=True)
    if (work / "cache.json").exists():
        return
    processor, frames, inputs, lengths = make_processor(), [], [], []
    for clip in clips:
        images = decode(data / clip)
        small = [Image.fromarray(x).resize((CACHE_SIDE, CACHE_SIDE), Image.BILINEAR) for x in images]
        frames.append(np.stack([np.asarray(x) for x in small]))
        shown = [images[i] for i in centre_indices(len(images))]
        pixels = processor(shown, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
        inputs.append(pixels.astype(np.uint8))
        lengths.append(len(images))
    np.save(work / "frames.npy", np.concatenate(frames))
    np.save(work / "inputs.npy", np.stack(inputs))
    (work / "cache.json").write_text(json.dumps({"clips": clips, "lengths": lengths}))


class Cache:
    """The decoded clips, read from disk as they are needed."""

    def __init__(self, work):
        index = json.loads((work / "cache.json").read_text())
        self.clips = index["clips"]
        self.position = {clip: i for i, clip in enumerate(self.clips)}
        self.start = np.concatenate([[0], np.cumsum(index["lengths"])])
        self.frames = np.load(work / "frames.npy", mmap_mode="r")
        self.inputs = np.load(work / "inputs.npy", mmap_mode="r")

    def batch(self, clips):
        """The exact model input, before normalisation: (B, FRAMES, 3, SIDE, SIDE) in 0..1."""
        return torch.from_numpy(np.stack([self.inputs[self.position[c]] for c in clips])).float() / 255

    def random_views(self, clips, rng):
        return torch.stack([self.random_view(c, rng) for c in clips])

    def random_view(self, clip, rng):
        """One augmented view: speed, start, crop, aspect, mirror, contrast, saturation, tint, gamma."""
        first, last = self.start[self.position[clip]], self.start[self.position[clip] + 1]
        total = int(last - first)
        rate = rng.uniform(2.0, 4.0)
        if rng.random() < 0.9:  # otherwise a short clip may end in a still
            rate = min(rate, max(1.0, (total - 1) / (FRAMES - 1)))
        begin = rng.uniform(0, max(0, total - 1 - (FRAMES - 1) * rate))
        picked = np.minimum(np.round(begin + np.arange(FRAMES) * rate).astype(int), total - 1)
        area, aspect = rng.uniform(0.4, 1.0), math.exp(rng.uniform(-0.25, 0.25))
        height = int(min(CACHE_SIDE, CACHE_SIDE * math.sqrt(area) * aspect))
        width = int(min(CACHE_SIDE, CACHE_SIDE * math.sqrt(area) / aspect))
        top, left = rng.integers(0, CACHE_SIDE - height + 1), rng.integers(0, CACHE_SIDE - width + 1)
        view = self.frames[first + picked][:, top:top + height, left:left + width]
        if rng.random() < 0.5:
            view = view[:, :, ::-1]
        view = torch.from_numpy(np.ascontiguousarray(view)).permute(0, 3, 1, 2).float() / 255
        view = F.interpolate(view, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        return jitter_colour(view, rng) if rng.random() < 0.8 else view


def jitter_colour(view, rng):
    contrast, brightness, saturation = rng.uniform(0.6, 1.5), rng.uniform(-0.15, 0.15), rng.uniform(0, 1.4)
    middle = view.mean()
    view = (view - middle) * contrast + middle + brightness
    grey = view.mean(1, keepdim=True)
    view = grey + (view - grey) * saturation
    if rng.random() < 0.3:
        view = view * torch.from_numpy(rng.uniform(0.85, 1.15, 3).astype("float32")).view(1, 3, 1, 1)
    view = view.clamp(0, 1)
    return view ** float(rng.uniform(0.7, 1.4)) if rng.random() < 0.5 else view


def labels_of(clips):
    return torch.tensor([class_id(c) for c in clips])


def smooth_labels(clips):
    return F.one_hot(labels_of(clips), 2).float() * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / 2


# ---------------------------------------------------------------- linear baseline


def difference_features(pixels):
    """Mean and spread over time of |frame difference| in a 7 x 7 grid."""
    moved = pixels.mean(2).diff(dim=1).abs()
    cells = F.avg_pool2d(moved, PATCH).flatten(2)
    return torch.cat([cells.mean(1), cells.std(1, unbiased=False)], 1)


def fit_linear(x, y, penalty):
    """Logistic regression with an L2 penalty, on standardised features; returns its decision function."""
    mean, spread = x.mean(0), x.std(0) + 1e-6
    weight = torch.zeros(x.shape[1] + 1, requires_grad=True)
    solver = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def decide(z):
        return ((z - mean) / spread) @ weight[:-1] + weight[-1]

    def closure():
        solver.zero_grad()
        loss = F.binary_cross_entropy_with_logits(decide(x), y.float(), reduction="sum")
        loss = loss + penalty * weight[:-1].square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    return lambda z: decide(z).detach()


def linear_baseline(cache, folds, test):
    """Accuracy in cross-validation (which also chooses the penalty) and on the test part."""
    clips = sorted(folds)
    x, y, fold = difference_features(cache.batch(clips)), labels_of(clips), torch.tensor([folds[c] for c in clips])

    def validate(penalty):
        right = 0
        for k in range(FOLDS):
            decide = fit_linear(x[fold != k], y[fold != k], penalty)
            right += ((decide(x[fold == k]) > 0) == y[fold == k].bool()).sum().item()
        return right / len(clips)

    best, penalty = max((validate(p), p) for p in (5.0, 50.0, 500.0))
    guess = fit_linear(x, y, penalty)(difference_features(cache.batch(test))) > 0
    return best, (guess == labels_of(test).bool()).float().mean().item()


# ---------------------------------------------------------------- teacher


def motion_statistics(pixels):
    """27 numbers for each tubelet: how much its two frames differ, on several scales and in logarithms."""
    grey = F.avg_pool2d(pixels.mean(2), 2)
    moved = (grey[:, 1::2] - grey[:, ::2]).abs()

    def cells(x, k):  # k x k cells in each patch -> (B, TOKENS, k * k)
        x = F.avg_pool2d(x, x.shape[-1] // GRID // k)
        return x.view(len(x), -1, GRID, k, GRID, k).permute(0, 1, 2, 4, 3, 5).reshape(len(x), TOKENS, k * k)

    faint = (moved + 0.01).log()
    return torch.cat([cells(faint, 1), cells(moved, 1), (cells(moved, 1) + 0.003).log(), cells(faint, 2),
                      (cells(moved, 2) + 0.003).log(), (cells(moved, 4) + 0.003).log()], -1)


class Teacher(nn.Module):
    """Convolutions over the token grid of motion statistics, averaged over all tokens."""

    def __init__(self):
        super().__init__()

        def block(a, b, k):
            return nn.Sequential(nn.Conv3d(a, b, k, padding=k // 2, bias=False), nn.BatchNorm3d(b), nn.ReLU(True))

        self.body = nn.Sequential(nn.BatchNorm3d(27), block(27, 96, 1), block(96, 96, 3), block(96, FEATURES, 3))
        self.dropout = nn.Dropout(0.4)
        self.head = nn.Linear(FEATURES, 2)

    def maps(self, pixels):
        x = motion_statistics(pixels).transpose(1, 2)
        return self.body(x.unflatten(2, (FRAMES // TUBELET, GRID, GRID)))

    def classify(self, maps):
        return self.head(self.dropout(maps.mean((2, 3, 4))))

    def forward(self, pixels):
        return self.classify(self.maps(pixels))

    @torch.no_grad()
    def targets(self, pixels):
        """Features of every token (B, TOKENS, FEATURES), and the logits."""
        with torch.autocast("cpu", torch.bfloat16):
            maps = self.maps(pixels)
            logits = self.classify(maps)
        return maps.float().flatten(2).transpose(1, 2), logits.float()


class Trainer:
    """AdamW with warm-up and cosine decay, clipped gradients, and a running average of the weights."""

    def __init__(self, model, steps, rate, betas, warmup, ema, extra=()):
        self.model, self.steps, self.rate, self.warmup, self.ema = model, steps, rate, warmup, ema
        self.weights = [*model.parameters(), *extra]
        groups = [dict(params=[w for w in self.weights if w.ndim > 1], weight_decay=WEIGHT_DECAY),
                  dict(params=[w for w in self.weights if w.ndim <= 1], weight_decay=0.0)]
        self.optimizer = torch.optim.AdamW(groups, lr=rate, betas=betas)
        self.average = {k: v.clone().float() for k, v in model.state_dict().items()}
        self.done = 0

    def step(self, loss):
        ramp = min(1.0, (self.done + 1) / (self.warmup * self.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * ramp * 0.5 * (1 + math.cos(math.pi * self.done / self.steps))
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.done += 1
        decay = min(self.ema, (1 + self.done) / (10 + self.done))
        for name, value in self.model.state_dict().items():
            self.average[name].mul_(decay).add_(value.float(), alpha=1 - decay)


def batches(clips, epochs, size, rng):
    """(epoch, clips) of every step."""
    for epoch in range(epochs):
        order = rng.permutation(len(clips))
        for i in range(0, len(order) - size + 1, size):
            yield epoch, [clips[j] for j in order[i:i + size]]


def soft_cross_entropy(logits, target):
    return -(target * logits.float().log_softmax(1)).sum(1).mean()


def train_teacher(cache, clips, seed, log):
    torch.manual_seed(seed)
    rng = np.random.default_rng(1000 + seed)
    teacher = Teacher()
    s = dict(TEACHER)
    epochs, size = s.pop("epochs"), s.pop("batch")
    trainer = Trainer(teacher, epochs * (len(clips) // size), **s)
    for epoch, chosen in batches(clips, epochs, size, rng):
        with torch.autocast("cpu", torch.bfloat16):
            logits = teacher(cache.random_views(chosen, rng))
        loss = soft_cross_entropy(logits, smooth_labels(chosen))
        trainer.step(loss)
        log(f"teacher epoch {epoch + 1} loss {loss.item():.3f}", every=trainer.done)
    teacher.load_state_dict(trainer.average)
    return teacher.eval()


# ---------------------------------------------------------------- student


def make_student():
    config = VideoMAEConfig(
        image_size=SIDE, patch_size=PATCH, num_frames=FRAMES, tubelet_size=TUBELET, hidden_size=WIDTH,
        num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=4 * WIDTH, use_mean_pooling=True,
        id2label=dict(enumerate(LABELS)), label2id={name: i for i, name in enumerate(LABELS)},
        frame_sampling_rate=RATE)
    return VideoMAEForVideoClassification(config)


@torch.no_grad()
def widen_init(model):
    """Random weights of useful size, and queries that resemble keys, so that tokens first look at their like."""
    for layer in model.videomae.encoder.layer:
        attention = layer.attention.attention
        query = torch.randn(WIDTH, WIDTH) / WIDTH ** 0.5
        attention.query.weight.copy_(1.6 * query)
        attention.key.weight.copy_(1.6 * (0.8 * query + 0.4 * torch.randn(WIDTH, WIDTH) / WIDTH ** 0.5))
        attention.value.weight.copy_(torch.randn(WIDTH, WIDTH) / WIDTH ** 0.5)
        layer.attention.output.dense.weight.copy_(0.3 * torch.randn(WIDTH, WIDTH) / WIDTH ** 0.5)
        layer.intermediate.dense.weight.copy_(1.3 * torch.randn(4 * WIDTH, WIDTH) / WIDTH ** 0.5)
        layer.output.dense.weight.copy_(0.3 * torch.randn(WIDTH, 4 * WIDTH) / (4 * WIDTH) ** 0.5)


def principal_filters(tubelets, sign, count, floor, scale):
    """Whitened principal components of (second frame + sign * first frame) as tubelet filters and biases."""
    x = (tubelets[:, 1] + sign * tubelets[:, 0]) / 2 ** 0.5
    mean = x.mean(0) * (sign > 0)
    x = x - mean
    value, vector = torch.linalg.eigh(x.T @ x / len(x))
    value, vector = value.flip(0)[:count], vector.flip(1)[:, :count]
    filters = vector / (value + floor * value[0]).sqrt() * scale
    return torch.stack([sign * filters.T, filters.T], 1) / 2 ** 0.5, -(mean @ filters)


@torch.no_grad()
def motion_init(model, pixels, differences=96, sums=48):
    """Makes tubelet embedding and first MLP a motion detector, without gradient steps.

    Embedding: `differences` filters of what changes between a tubelet's frames, `sums` of what does not.
    First MLP: random hidden units; its output weights are the ridge regression to `motion_statistics`, written
    to the channels that the embedding left free.
    """
    x = (pixels - MEAN) / STD
    clips, size = len(x), 3 * PATCH * PATCH
    tubelets = x.reshape(clips, -1, TUBELET, 3, GRID, PATCH, GRID, PATCH).permute(0, 1, 4, 6, 2, 3, 5, 7)
    tubelets = tubelets[:60].reshape(-1, TUBELET, size)
    tubelets = tubelets[torch.randperm(len(tubelets))[:20000]]
    moving, moving_bias = principal_filters(tubelets, -1, differences, 0.1, 3.0)
    still, still_bias = principal_filters(tubelets, 1, sums, 0.01, 0.2)
    used = differences + sums
    embed = model.videomae.embeddings.patch_embeddings.projection
    embed.weight.zero_()
    embed.bias.zero_()
    filters = torch.cat([moving, still]).reshape(used, TUBELET, 3, PATCH, PATCH)
    embed.weight[:used] = filters.permute(0, 2, 1, 3, 4)
    embed.bias[:used] = torch.cat([moving_bias, still_bias])

    first = model.videomae.encoder.layer[0]
    first.attention.output.dense.weight.zero_()
    first.intermediate.dense.bias.copy_(0.5 * torch.randn(4 * WIDTH))
    tokens = model.videomae.embeddings(x, None)
    hidden = F.gelu(first.intermediate.dense(first.layernorm_after(tokens)))
    hidden = torch.cat([hidden, torch.ones_like(hidden[..., :1])], -1).flatten(0, 1)
    target = motion_statistics(pixels)
    target = ((target - target.mean((0, 1))) / target.std((0, 1))).flatten(0, 1)
    gram = hidden.T @ hidden + 10 * torch.eye(hidden.shape[1])
    solution = 2 * torch.linalg.solve(gram, hidden.T @ target)
    free = slice(used, used + target.shape[1])
    first.output.dense.weight.zero_()
    first.output.dense.weight[free] = solution[:-1].T
    first.output.dense.bias[free] = solution[-1]


def random_mask(clips):
    """True for the tokens to drop; equally many in each clip."""
    mask = torch.ones(clips, TOKENS, dtype=torch.bool)
    return mask.scatter_(1, torch.rand(clips, TOKENS).topk(int(TOKENS * KEEP), 1).indices, False)


def student_forward(model, pixels, mask=None):
    """What VideoMAEForVideoClassification computes, on the tokens that `mask` leaves; also those tokens."""
    tokens = model.videomae((pixels - MEAN) / STD, bool_masked_pos=mask).last_hidden_state
    return tokens, model.classifier(model.fc_norm(tokens.mean(1)))


def token_distance(features, maps, mask):
    """Of the features (B, kept, FEATURES) of the tokens that `mask` leaves, to the teacher's (B, TOKENS, FEATURES)."""
    return (features - maps[~mask].view(features.shape)).square().mean()


def start_videomae(pixels, parent):
    model = make_student()
    widen_init(model)
    motion_init(model, pixels)
    return model


# ---------------------------------------------------------------- factorised student


def factorised_config():
    return dict(
        model_type="vivit_fe", image_size=SIDE, num_frames=FRAMES, tubelet_size=[TUBELET, PATCH, PATCH],
        num_channels=3, hidden_size=WIDTH, num_attention_heads=HEADS, intermediate_size=4 * WIDTH,
        spatial_layers=LAYERS, temporal_layers=TEMPORAL_LAYERS, layer_norm_eps=1e-6, hidden_act="gelu",
        id2label={str(i): name for i, name in enumerate(LABELS)}, label2id={n: i for i, n in enumerate(LABELS)},
        frame_sampling_rate=RATE)


def start_factorised(pixels, parent):
    model = FactorisedVivit(factorised_config(), len(LABELS))
    start_from_videomae(model, load_student(parent))
    return model


def snippet_mask(clips):
    """True for the tokens to drop; equally many in each snippet."""
    snippets, places = FRAMES // TUBELET, GRID * GRID
    kept = torch.rand(clips, snippets, places).topk(int(places * KEEP), 2).indices
    return torch.ones(clips, snippets, places, dtype=torch.bool).scatter_(2, kept, False).flatten(1)


def factorised_forward(model, pixels, mask=None):
    """The tokens of each snippet, its class token first, (B, snippets, 1 + kept, WIDTH), and the logits."""
    keep = None if mask is None else ~mask.unflatten(1, (FRAMES // TUBELET, GRID * GRID))
    tokens, _, logits = model((pixels - MEAN) / STD, keep)
    return tokens, logits


def snippet_distance(features, maps, mask):
    """As token_distance; a class token learns the mean of its snippet."""
    whole = maps.unflatten(1, (FRAMES // TUBELET, -1)).mean(2)
    return token_distance(features[:, :, 1:], maps, mask) + 2 * (features[:, :, 0] - whole).square().mean()


# ---------------------------------------------------------------- families


class Family(NamedTuple):
    """What differs between the models that are trained here."""
    parent: str          # the family whose model of the same clips it starts from and learns with; "": none
    recipe: dict
    start: Callable      # (pixels of training clips, parent's result) -> the model before its first step
    mask: Callable       # clips -> (clips, TOKENS), True for the tokens that training drops
    forward: Callable    # (model, pixels, mask) -> features for `distance`, logits
    distance: Callable   # (features, teacher's maps, mask) -> what the tokens are to bring down
    load: Callable       # a result of train_one -> the trained model
    save: Callable       # (model, directory)
    restore: Callable    # directory -> the model
    logits: Callable     # (restored model, normalised pixels) -> its logits


def train_student(family, cache, clips, teacher, parent, seed, log):
    """Every token learns the teacher's features; the clip learns the teacher's answer and the label."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(2000 + seed)
    chosen = [clips[i] for i in rng.integers(0, len(clips), 120)]
    pixels = cache.random_views(chosen, rng)
    model = family.start(pixels, parent)
    maps, _ = teacher.targets(pixels)
    mean, spread = maps.mean((0, 1)), maps.std((0, 1)) + 1e-3
    to_features = nn.Linear(WIDTH, FEATURES)
    s = dict(family.recipe)
    epochs, size = s.pop("epochs"), s.pop("batch")
    steps = epochs * (len(clips) // size)
    trainer = Trainer(model, steps, **s, extra=list(to_features.parameters()))
    last_epochs = []
    model.train()
    for epoch, chosen in batches(clips, epochs, size, rng):
        pixels, mask = cache.random_views(chosen, rng), family.mask(size)
        maps, answer = teacher.targets(pixels)
        target = TEACHER_SHARE * answer.softmax(1) + (1 - TEACHER_SHARE) * smooth_labels(chosen)
        with torch.autocast("cpu", torch.bfloat16):
            tokens, logits = family.forward(model, pixels, mask)
            features = to_features(tokens)
        distance = family.distance(features.float(), (maps - mean) / spread, mask)
        loss = distance + soft_cross_entropy(logits, target)
        trainer.step(loss)
        if epoch >= epochs - 5:
            last_epochs.append(loss.item())
        log(f"student epoch {epoch + 1} features {distance.item():.3f} loss {loss.item():.3f}", every=trainer.done)
    model.load_state_dict(trainer.average)
    return model.eval(), float(np.mean(last_epochs))


# ---------------------------------------------------------------- runs


def train_one(job):
    """Teacher and student on the given clips; runs in a process of its own, on one thread."""
    kind, work, name, clips, seed = job
    family = FAMILIES[kind]
    result = work / (f"{kind}-{name}.pt" if family.parent else f"{name}.pt")
    if result.exists():
        return result
    parent = torch.load(train_one((family.parent, *job[1:]))) if family.parent else None
    torch.set_num_threads(1)
    started, cache = time.time(), Cache(work)

    def log(text, every):
        if every % 50 == 0:
            print(f"{name} {time.time() - started:.0f} s: {text}", flush=True)

    teacher = load_teacher(parent) if parent else train_teacher(cache, clips, seed, log)
    model, loss = train_student(family, cache, clips, teacher, parent, seed, log)
    torch.save({"model": model.state_dict(), "teacher": teacher.state_dict(), "loss": loss,
                "seconds": time.time() - started}, result)
    return result


def run_jobs(jobs, processes):
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return [torch.load(path) for path in pool.imap(train_one, jobs)]


@torch.no_grad()
def predict(model, batch, size=16):
    return torch.cat([model(part).float() for part in batch.split(size)])


def load_teacher(saved):
    teacher = Teacher()
    teacher.load_state_dict(saved["teacher"])
    return teacher.eval()


def load_student(saved):
    model = make_student()
    model.load_state_dict(saved["model"])
    return model.eval()


def load_factorised_student(saved):
    model = FactorisedVivit(factorised_config(), len(LABELS))
    model.load_state_dict(saved["model"])
    return model.eval()


def cross_validate(kind, work, folds, processes):
    """Accuracy and cross-entropy of held-out clips, teacher and student, all folds pooled."""
    cache, clips, family = Cache(work), sorted(folds), FAMILIES[kind]
    jobs = [(kind, work, f"fold{k}", [c for c in clips if folds[c] != k], 0) for k in range(FOLDS)]
    logits, guesses, truth = [], [], []
    for k, saved in enumerate(run_jobs(jobs, processes)):
        held_out = [c for c in clips if folds[c] == k]
        student, pixels = family.load(saved), cache.batch(held_out)
        logits.append(predict(lambda x: family.forward(student, x)[1], pixels))
        guesses.append(predict(load_teacher(saved), pixels))
        truth.append(labels_of(held_out))
        right = [(x[-1].argmax(1) == truth[-1]).float().mean().item() for x in (guesses, logits)]
        print(f"fold {k}: teacher {right[0]:.3f}, student {right[1]:.3f}", flush=True)
    logits, guesses, truth = torch.cat(logits), torch.cat(guesses), torch.cat(truth)
    return {"student": (logits.argmax(1) == truth).float().mean().item(),
            "teacher": (guesses.argmax(1) == truth).float().mean().item(),
            "student_cross_entropy": F.cross_entropy(logits, truth).item(), "clips": len(truth)}


def restore_videomae(out):
    return VideoMAEForVideoClassification.from_pretrained(out, torch_dtype=torch.float32).eval()


FAMILIES = {
    "videomae": Family(
        parent="", recipe=STUDENT, start=start_videomae, mask=random_mask, forward=student_forward,
        distance=token_distance, load=load_student, save=lambda model, out: model.save_pretrained(out),
        restore=restore_videomae, logits=lambda model, pixels: model(pixels).logits),
    "vivit_fe": Family(
        parent="videomae", recipe=FACTORISED, start=start_factorised, mask=snippet_mask, forward=factorised_forward,
        distance=snippet_distance, load=load_factorised_student,
        save=lambda model, out: save_factorised(model, factorised_config(), out), restore=load_factorised,
        logits=lambda model, pixels: model(pixels)[2]),
}


def export(family, model, out):
    """The model directory, weights rounded to float16."""
    out.mkdir(parents=True, exist_ok=True)
    family.save(model.half(), out)
    make_processor().save_pretrained(out)


def test_logits(family, out, data, clips):
    """Logits of the files as shipped: decoded, preprocessed and computed (float32) as any user would."""
    model, processor = family.restore(out), VideoMAEImageProcessor.from_pretrained(out)
    logits = []
    for clip in clips:
        frames = decode(data / clip)
        shown = [frames[i] for i in centre_indices(len(frames))]
        with torch.no_grad():
            logits.append(family.logits(model, processor(shown, return_tensors="pt")["pixel_values"])[0])
    return torch.stack(logits)


def write_csv(path, header, rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the dataset, with fight/, noFight/, videos.txt")
    parser.add_argument("--out", type=Path, required=True, help="where the Hugging Face directory goes")
    parser.add_argument("--family", choices=FAMILIES, default="videomae",
                        help="vivit_fe starts from the videomae of the same clips, which is trained first")
    parser.add_argument("--work", type=Path, default=Path("build/train-demo"), help="cache and finished parts")
    parser.add_argument("--cv", action="store_true", help="also train in five folds, and say in the card what came out")
    parser.add_argument("--no-final", action="store_true", help="stop before the final model and the test part")
    parser.add_argument("--clips", type=Path, help="also copy the four sample clips here")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the final model (shipped: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a thread each")
    args = parser.parse_args()
    torch.set_num_threads(args.jobs)
    family = FAMILIES[args.family]

    clips = list_clips(args.data)
    groups = clips_by_source(clips, args.data)
    part = make_split(groups)
    test = [c for c in clips if part[c] == "test"]
    known = [c for c in clips if part[c] != "test"]
    folds = make_folds({s: g for s, g in groups.items() if part[g[0]] != "test"})
    build_cache(args.data, clips, args.work)

    saved_cv = args.work / (f"{args.family}-cv.json" if family.parent else "cv.json")
    if args.cv and not saved_cv.exists():
        saved_cv.write_text(json.dumps(cross_validate(args.family, args.work, folds, args.jobs)))
    cross_validation = json.loads(saved_cv.read_text()) if saved_cv.exists() else None
    print("cross-validation:", cross_validation)
    if args.no_final:
        return

    runs = run_jobs([(args.family, args.work, f"final{seed}", known, seed) for seed in args.seeds], args.jobs)
    kept = min(range(len(runs)), key=lambda i: runs[i]["loss"])
    export(family, family.load(runs[kept]), args.out)
    logits = test_logits(family, args.out, args.data, test)
    linear = linear_baseline(Cache(args.work), folds, test)
    if not family.parent:  # the split is one for all families
        write_csv(args.out / "split.csv", ["path", "label", "split"], [(c, c.split("/")[0], part[c]) for c in clips])
    write_csv(args.out / "test_logits.csv", ["path", "logit0", "logit1"],
              [(c, *(f"{v:.9g}" for v in row)) for c, row in zip(test, logits.tolist())])
    seeds = f"seed {args.seeds[kept]}"
    if len(runs) > 1:
        seeds += f", which had the lowest training loss of {len(runs)}"
    facts = dict(
        frames=FRAMES, rate=RATE, side=SIDE, layers=LAYERS, width=WIDTH, heads=HEADS, tokens=TOKENS,
        split_seed=SPLIT_SEED, sources=len(groups), teacher_epochs=TEACHER["epochs"],
        test_sources=sum(any(part[c] == "test" for c in g) for g in groups.values()),
        student_epochs=family.recipe["epochs"], seeds=seeds)
    write_card(args.out, args.family, labels_of(test), logits.argmax(1), linear, cross_validation, facts)
    if args.clips:
        copy_samples(args.data, args.clips, test, logits, LABELS)
    right = (logits.argmax(1) == labels_of(test)).sum().item()
    print(f"test: {right} of {len(test)}; linear baseline (folds, test): {linear}")


if __name__ == "__main__":
    main()
