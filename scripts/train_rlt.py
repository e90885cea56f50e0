#!/usr/bin/env python3
"""Fine-tunes the demo model with RLT in the loop, learned run lengths included.

    python scripts/train_demo.py --data surveillance-fight --out build/tiny --cv      # leaves build/train-demo
    python scripts/train_rlt.py --data surveillance-fight --out build/tiny-rlt --cv build/folds

share/fight-videomae-tiny-rlt is what it gave; its card and vidette.json were written by hand.

The finished demo model teaches a copy of itself that sees kept tubelets alone. In every step one tau is drawn for the
batch (some steps tau = 0, some without RLT), the decision is Vidette's own on the bytes of the augmented clips
(`ref/rlt.py`, run_head), and each kept token has its run length three times over: as a learned embedding, as log l
in the attention logits, as its weight in the mean. Two losses, no labels:

- a kept token gives what the teacher's tokens of its whole run give on average, so that the mean weighted by run
  length is the mean over all tokens;
- the clip gives the teacher's answer.

The table `rlt.length_embedding.weight` (T/s, D) goes into model.safetensors; its first row, of tokens that stand for
themselves alone, stays 0: with all tokens kept the model is the dense one. `--control` drops as many tokens at
random in place of RLT's, all else equal: what the fine-tuning would give without RLT's choice of tokens.

`--cv DIR` does the same from the five models of train_demo.py's folds and writes each as a directory, and lists of the
clips held out, for bench/eval_folds.py. Two cores, otherwise idle: three minutes, ten with --cv.
"""
import argparse
import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

import train_demo as demo
from train_demo import FRAMES, GRID, IMAGE_STD, MEAN, PATCH, STD, TOKENS, TUBELET, WIDTH

STEPS = FRAMES // TUBELET
TUNING = dict(epochs=4, batch=12, rate=4e-4, betas=(0.9, 0.95), warmup=0.1, ema=0.97)
DRAWS = 2  # of tau, a step each, for a batch of views and what the teacher says of them
SHARE_DENSE, SHARE_ZERO = 0.1, 0.05  # of the steps: without RLT; with tau = 0
TAUS = 0.02, 0.3  # of the others, even on a logarithmic scale
TABLE_RATE = 10  # the table starts at 0 and learns faster than the rest
TABLE = "rlt.length_embedding.weight"


# ---------------------------------------------------------------- RLT on batches


def kept_tubelets(pixels, tau):
    """`threshold_mask` of ref/rlt.py, run_head, on bytes (B, FRAMES, 3, SIDE, SIDE): (B, STEPS, GRID, GRID) of bool."""
    frames = pixels.short()
    head = frames[:, 0]
    kept = torch.ones(len(pixels), STEPS, GRID, GRID, dtype=torch.bool)
    for t in range(1, STEPS):
        moved = (frames[:, t * TUBELET + TUBELET - 1] - head).abs().int()
        sads = moved.unflatten(3, (GRID, PATCH)).unflatten(2, (GRID, PATCH)).sum((3, 5)).double()
        score = sads[:, 0] / IMAGE_STD[0] + sads[:, 1] / IMAGE_STD[1] + sads[:, 2] / IMAGE_STD[2]
        kept[:, t] = score > tau * 255 * 3 * PATCH * PATCH
        changed = kept[:, t].repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2).unsqueeze(1)
        head = torch.where(changed, frames[:, t * TUBELET], head)
    return kept


def random_tubelets(kept):
    """As many of each clip, the first of every place among them."""
    keys = torch.rand(len(kept), TOKENS)
    keys[:, :GRID * GRID] = 2
    order = keys.argsort(1, descending=True)
    rank = torch.arange(TOKENS) < kept.flatten(1).sum(1, keepdim=True)
    return torch.zeros(len(kept), TOKENS, dtype=torch.bool).scatter_(1, order, rank).view_as(kept)


def runs_of(kept):
    """For each tubelet the token that heads its run, and for each token the length of its run: (B, TOKENS) both."""
    token = torch.arange(TOKENS).view(STEPS, GRID, GRID).expand_as(kept)
    head = torch.where(kept, token, 0).cummax(1).values.flatten(1)
    return head, torch.zeros(len(kept), TOKENS).scatter_add_(1, head, torch.ones(len(kept), TOKENS))


class Student(nn.Module):
    """The demo model with a table of length embeddings; `forward` computes what Vidette computes with
    `--rlt-lengths embed,bias,pool`."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.longer = nn.Parameter(torch.zeros(STEPS - 1, WIDTH))

    def table(self):
        return torch.cat([torch.zeros(1, WIDTH), TABLE_RATE * self.longer])

    def attend(self, attention, x, bias):
        heads = attention.attention
        query = F.linear(x, heads.query.weight, heads.q_bias)
        key = F.linear(x, heads.key.weight)
        value = F.linear(x, heads.value.weight, heads.v_bias)
        split = [y.unflatten(2, (demo.HEADS, -1)).transpose(1, 2) for y in (query, key, value)]
        mixed = F.scaled_dot_product_attention(*split, attn_mask=bias.to(query.dtype))
        return attention.output.dense(mixed.transpose(1, 2).flatten(2))

    def forward(self, pixels, kept):
        """Last tokens (B, K, WIDTH) with K the most that a clip keeps, their indices (B, K), weights (B, K; 0: none)
        and the logits."""
        _, lengths = runs_of(kept)
        most = int(kept.flatten(1).sum(1).max())
        index = torch.where(kept.flatten(1), torch.arange(TOKENS), TOKENS).sort(1).values[:, :most]
        there = index < TOKENS
        index = index.clamp(max=TOKENS - 1)
        weight = lengths.gather(1, index) * there
        x = self.model.videomae.embeddings((pixels - MEAN) / STD, None)
        x = x.gather(1, index.unsqueeze(2).expand(-1, -1, WIDTH))
        x = x + self.table()[(weight.long() - 1).clamp(min=0)]
        bias = weight.log()[:, None, None]  # log 0: no token
        for layer in self.model.videomae.encoder.layer:
            x = x + self.attend(layer.attention, layer.layernorm_before(x), bias)
            x = layer.output(layer.intermediate(layer.layernorm_after(x)), x)
        mean = (x * weight.unsqueeze(2)).sum(1) / TOKENS
        return x, index, weight, self.model.classifier(self.model.fc_norm(mean))


# ---------------------------------------------------------------- training


def draw_kept(pixels, rng, control):
    draw = rng.random()
    tau = 0.0 if draw < SHARE_DENSE + SHARE_ZERO else float(np.exp(rng.uniform(*np.log(TAUS))))
    if draw < SHARE_DENSE:
        return torch.ones(len(pixels), STEPS, GRID, GRID, dtype=torch.bool)
    kept = kept_tubelets(pixels, tau)
    return random_tubelets(kept) if control else kept


def mean_of_runs(tokens, kept, index):
    """The mean of `tokens` (B, TOKENS, WIDTH) over the runs headed by the tokens `index`."""
    head, lengths = runs_of(kept)
    wide = head.unsqueeze(2).expand_as(tokens)
    sums = torch.zeros_like(tokens).scatter_add_(1, wide, tokens)
    means = sums / lengths.clamp(min=1).unsqueeze(2)
    return means.gather(1, index.unsqueeze(2).expand(-1, -1, WIDTH))


def tune(cache, clips, saved, control, log):
    torch.manual_seed(1)
    rng = np.random.default_rng(3000)
    teacher, student = demo.load_student(saved), Student(demo.load_student(saved)).train()
    s = dict(TUNING)
    epochs, size = s.pop("epochs"), s.pop("batch")
    trainer = demo.Trainer(student, DRAWS * epochs * (len(clips) // size), **s)
    for epoch, chosen in demo.batches(clips, epochs, size, rng):
        shown = (cache.random_views(chosen, rng) * 255).round().to(torch.uint8)
        pixels = shown.float() / 255
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            target, answer = demo.student_forward(teacher, pixels)
        target, answer = target.float(), answer.float().softmax(1)
        for _ in range(DRAWS):
            kept = draw_kept(shown, rng, control)
            with torch.autocast("cpu", torch.bfloat16):
                tokens, index, weight, logits = student(pixels, kept)
            error = (tokens.float() - mean_of_runs(target, kept, index)).square().mean(2)
            distance = (error * weight).sum() / weight.sum() / target.var()
            said = demo.soft_cross_entropy(logits, answer)
            trainer.step(distance + said)
            log(f"epoch {epoch + 1} kept {kept.float().mean():.2f} tokens {distance.item():.3f} "
                f"answers {said.item():.3f}", every=trainer.done)
    student.load_state_dict(trainer.average)
    return student.eval()


def tune_one(job):
    """From WORK/NAME.pt, which train_demo.py left, in a process of its own, on one thread."""
    work, name, clips, control = job
    result = work / f"{'control' if control else 'rlt'}_{name}.pt"
    if not result.exists():
        torch.set_num_threads(1)
        started = time.time()

        def log(text, every):
            if every % 10 == 0:
                print(f"{result.stem} {time.time() - started:.0f} s: {text}", flush=True)

        student = tune(demo.Cache(work), clips, torch.load(work / f"{name}.pt"), control, log)
        torch.save(student.state_dict(), result)
    return result


def load_tuned(path):
    student = Student(demo.make_student())
    student.load_state_dict(torch.load(path))
    return student.eval()


def export(student, out):
    """The Hugging Face directory with the table among its tensors, all rounded to float16."""
    table = student.table().detach()
    demo.export(demo.FAMILIES["videomae"], student.model, out)
    weights = out / "model.safetensors"
    save_file(load_file(weights) | {TABLE: table.half().contiguous()}, weights, metadata={"format": "pt"})


# ---------------------------------------------------------------- the command


def write_list(path, clips):
    demo.write_csv(path, ["path", "label"], [(c, c.split("/")[0]) for c in clips])


def export_folds(work, folds, directory, control):
    """DIR/NAMEk, the models tuned without fold k (and the demo model's, from which they started), DIR/listk.csv."""
    for k in range(demo.FOLDS):
        demo.export(demo.FAMILIES["videomae"], demo.load_student(torch.load(work / f"fold{k}.pt")),
                    directory / f"demo{k}")
        name = "control" if control else "rlt"
        export(load_tuned(work / f"{name}_fold{k}.pt"), directory / f"{name}{k}")
        write_list(directory / f"list{k}.csv", [c for c in sorted(folds) if folds[c] == k])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the dataset, as for train_demo.py")
    parser.add_argument("--out", type=Path, required=True, help="where the Hugging Face directory goes")
    parser.add_argument("--work", type=Path, default=Path("build/train-demo"), help="what train_demo.py left")
    parser.add_argument("--cv", type=Path, metavar="DIR", help="also tune the models of the folds, and put them there")
    parser.add_argument("--control", action="store_true", help="drop as many tokens at random")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a thread each")
    args = parser.parse_args()
    clips = demo.list_clips(args.data)
    groups = demo.clips_by_source(clips, args.data)
    part = demo.make_split(groups)
    folds = demo.make_folds({s: g for s, g in groups.items() if part[g[0]] != "test"})
    jobs = [(args.work, "final0", [c for c in clips if part[c] != "test"], args.control)]
    if args.cv:
        jobs += [(args.work, f"fold{k}", [c for c in sorted(folds) if folds[c] != k], args.control)
                 for k in range(demo.FOLDS)]
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        final = list(pool.imap(tune_one, jobs))[0]
    export(load_tuned(final), args.out)
    if args.cv:
        export_folds(args.work, folds, args.cv, args.control)


if __name__ == "__main__":
    main()
