"""Eventful transformers (Dutson et al. 2023) in NumPy: policies, gates, buffers and the three attentions.

A twin of src/reduce, written to be read; float64 throughout, so that differences are the library's.
`python eventful.py` writes the vectors that tests/unit/test_eventful.c compares with.
"""
import sys
from pathlib import Path

import numpy as np


def select(errors, kind, value, floor=0.0, waited=None, max_wait=0):
    """Ascending indices that pass: errors are norms; `waited` (steps passed over) is brought up to date."""
    n = len(errors)
    waited = np.zeros(n, int) if waited is None else waited
    if kind == "all":
        picked = np.arange(n)
    else:
        least = max(floor, value) if kind == "threshold" else floor
        counts = np.flatnonzero(~(errors <= least))
        late = (waited >= max_wait) & (max_wait > 0)
        # Late ones first, the oldest first; then the largest errors; ties to the lower index.
        order = sorted(counts, key=lambda i: (not late[i], -waited[i] if late[i] else -errors[i], i))
        most = {"top": lambda: value, "fraction": lambda: int(value * n), "threshold": lambda: n}[kind]()
        picked = np.sort(np.array(order[:most], int))
        passed_over = np.setdiff1d(counts, picked)
        waited[np.setdiff1d(np.arange(n), passed_over)] = 0
        waited[passed_over] += 1
    return picked


class Gate:
    def __init__(self, tokens):
        self.u = tokens.copy()

    def step(self, tokens, kind, value, **more):
        picked = select(np.linalg.norm(tokens - self.u, axis=1), kind, value, **more)
        self.u[picked] = tokens[picked]
        return picked


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def relative(q, table_h, table_w, height, width):
    """q . h[y_j - y_i] + q . w[x_j - x_i], (N, N); tables (2 height - 1, d), (2 width - 1, d)."""
    y, x = np.divmod(np.arange(height * width), width)
    h, w = q @ table_h.T, q @ table_w.T
    rows = np.arange(len(q))[:, None]
    return h[rows, y[None] - y[:, None] + height - 1] + w[rows, x[None] - x[:, None] + width - 1]


class Delta:
    """One head of the published recurrence."""

    def __init__(self, q, k, v, bias):
        self.q, self.k, self.v = q.copy(), k.copy(), v.copy()
        self.b = q @ k.T * q.shape[1] ** -0.5
        self.a = softmax(self.b + bias)
        self.av = self.a @ v

    def step(self, picked, q, k, v, bias_of):
        self.q[picked], self.k[picked] = q, k
        scale = q.shape[1] ** -0.5
        self.b[picked] = self.q[picked] @ self.k.T * scale
        self.b[:, picked] = self.q @ self.k[picked].T * scale
        a = softmax(self.b + bias_of(self.q))
        dv, da = v - self.v[picked], a[:, picked] - self.a[:, picked]
        self.av += a[:, picked] @ dv + da @ (v - dv)
        self.a[:, picked], self.v[picked] = a[:, picked], v
        return self.av


def main():
    """Steps of one sequence on a 3 x 5 grid, 2 heads of width 4, as text: sizes, tables, then each step."""
    rng = np.random.default_rng(6)
    height, width, heads, d, steps = 3, 5, 2, 4, 6
    n = height * width
    tables = [rng.standard_normal((2 * side - 1, d)) * 0.5 for side in (height, width)]
    qkv = rng.standard_normal((n, 3, heads, d)).astype(np.float32).astype(np.float64)
    tables = [t.astype(np.float32).astype(np.float64) for t in tables]
    bias_of = lambda q: relative(q, *tables, height, width)
    parts = [Delta(*(qkv[:, i, h] for i in range(3)), bias_of(qkv[:, 0, h])) for h in range(heads)]
    lines = [f"{height} {width} {heads} {d} {steps}", *(t.ravel() for t in tables), qkv.ravel(),
             np.concatenate([p.av for p in parts], 1).ravel()]
    for _ in range(steps):
        picked = np.sort(rng.choice(n, 4, replace=False))
        fresh = rng.standard_normal((4, 3, heads, d)).astype(np.float32).astype(np.float64)
        av = [p.step(picked, *(fresh[:, i, h] for i in range(3)), bias_of) for h, p in enumerate(parts)]
        lines += [" ".join(map(str, picked)), fresh.ravel(), np.concatenate(av, 1).ravel()]
    path = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "delta.txt"
    path.write_text("\n".join(x if isinstance(x, str) else " ".join(f"{v:.9g}" for v in x) for x in lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
