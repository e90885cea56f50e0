"""ToMe, token merging (Bolya et al. 2022), between the attention and the MLP of a block.

The keys say what a token is. Tokens at even positions (A) each look for the most similar one at odd
positions (B); the r most similar pairs become one token each, the mean of its parts weighted by their
sizes. Special tokens (class, distillation, registers) stand first and never merge.
"""
import math

import numpy as np


def schedule(r, inflection, L):
    """r_i of L blocks: constant for 0, falling to 0 for -1, rising from 0 for 1."""
    lo = int(r * (1 - inflection))
    hi = 2 * r - lo
    return [r] if L == 1 else [(lo * (L - 1) + (hi - lo) * i) // (L - 1) for i in range(L)]


def metric(keys, H):
    """Keys (N, D), averaged over heads, of length 1: (N, d)."""
    mean = keys.reshape(len(keys), H, -1).mean(1)
    length = np.sqrt((mean * mean).sum(-1, keepdims=True))
    return np.divide(mean, length, out=np.zeros_like(mean), where=length > 0)


def match(m, r, protected):
    """The r best links: (a (r), b (r)), positions in the sequence. Ties go to the lower index."""
    N = len(m)
    A, B = np.arange(protected + protected % 2, N, 2), np.arange(protected + (protected + 1) % 2, N, 2)
    r = min(r, (N - protected) // 2)
    if r == 0:
        return np.zeros(0, int), np.zeros(0, int)
    similarity = m[A] @ m[B].T
    best = similarity.argmax(1)  # the first of equals
    strength = similarity[np.arange(len(A)), best]
    chosen = np.sort(np.argsort(-strength, kind="stable")[:r])
    return A[chosen], B[best[chosen]]


def new_rows(N, a, b, protected):
    """Where each of N tokens goes: protected ones, then what is left of A, then B, in index order."""
    merged = np.zeros(N, bool)
    merged[a] = True
    rest = np.arange(protected, N)
    order = [*range(protected), *rest[(rest % 2 == 0) & ~merged[rest]], *rest[rest % 2 == 1]]
    to = np.zeros(N, int)
    to[order] = np.arange(len(order))
    to[a] = to[b]
    return to


def merge(x, sizes, to):
    """x_new = sum s x / sum s over what goes to one row; the sizes add up."""
    n = to.max() + 1
    total = np.zeros(n)
    np.add.at(total, to, sizes)
    out = np.zeros((n, x.shape[1]))
    np.add.at(out, to, x * sizes[:, None])
    return out / total[:, None], total


def unmerge(x, source):
    """Every token gets the row that stands for it."""
    return x[source]


def merges(spec, L):
    """A function of (block, N) that gives r: from a list, a (r, inflection) pair or a "P%" string."""
    if isinstance(spec, str):
        percent = float(spec.rstrip("%"))
        return lambda i, N: math.floor(percent * N / 100)
    rs = spec if isinstance(spec, list) else schedule(*spec, L)
    return lambda i, N: rs[i]
