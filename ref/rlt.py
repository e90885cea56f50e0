"""RLT, run-length tokenization (Choudhury et al. 2024): which tubelets of a clip are kept.

A tubelet is s frames x p x p pixels; tokens stand in the order (t, h, w). On normalised pixels, the score
of a tubelet is the mean difference between its last frame and the first frame of the tubelet it is
compared with; the normalisation is affine in the byte, so that sums of byte differences decide:

    S = SAD_0 / std_0 + SAD_1 / std_1 + SAD_2 / std_2        keep iff S > tau R 3 p p

R is 1 / rescale_factor. Everything here is integers and one fixed order of doubles: the C code makes the
same decisions on every machine.
"""
import numpy as np

MASK = (1 << 64) - 1


def distance(a, b, p, std):
    """S of every position between two frames (H, W, 3) of bytes: (h, w)."""
    h, w = a.shape[0] // p, a.shape[1] // p
    difference = np.abs(a.astype(np.int64) - b)[:h * p, :w * p].reshape(h, p, w, p, 3)
    sads = difference.sum((1, 3))  # (h, w, 3)
    return sads[..., 0] / std[0] + sads[..., 1] / std[1] + sads[..., 2] / std[2]


def scores(frames, s, p, std):
    """S of every tubelet t >= 1 against the tubelet before it: (T/s - 1, h, w)."""
    return np.stack([distance(frames[t * s + s - 1], frames[(t - 1) * s], p, std)
                     for t in range(1, len(frames) // s)])


def threshold_mask(frames, s, p, std, R, tau, reference="run_head"):
    """(T/s, h, w) of bool. `run_head` compares with the first frame of the tubelet that heads the run."""
    n, h, w = len(frames) // s, frames.shape[1] // p, frames.shape[2] // p
    kept = np.ones((n, h, w), bool)
    head = np.zeros((h, w), int)
    for t in range(1, n):
        for y in range(h):
            for x in range(w):
                at = slice(y * p, (y + 1) * p), slice(x * p, (x + 1) * p)
                before = head[y, x] if reference == "run_head" else t - 1
                S = distance(frames[t * s + s - 1][at], frames[before * s][at], p, std)[0, 0]
                kept[t, y, x] = S > tau * R * 3 * p * p
                if kept[t, y, x]:
                    head[y, x] = t
    return kept


def split_mix(x):
    """SplitMix64 (Steele et al. 2014)."""
    x = (x + 0x9e3779b97f4a7c15) & MASK
    x = ((x ^ x >> 30) * 0xbf58476d1ce4e5b9) & MASK
    x = ((x ^ x >> 27) * 0x94d049bb133111eb) & MASK
    return x ^ x >> 31


def budget_mask(keys, k, n_first):
    """Keeps the first tubelet's positions and the k - n_first highest keys; ties go to the lower index."""
    kept = np.zeros(n_first + len(keys), bool)
    kept[:n_first] = True
    order = sorted(range(len(keys)), key=lambda i: (-keys[i], i))
    kept[n_first + np.array(order[:k - n_first], int)] = True
    return kept


def keep_mask(frames, s, p, std, k):
    S = scores(frames, s, p, std)
    mask = budget_mask([float(x) for x in S.ravel()], k, S[0].size)
    return mask.reshape(-1, *S.shape[1:])


def random_mask(shape, k, seed):
    """The control: the first tubelet and k minus its positions drawn by numbers made of (seed, token)."""
    n, first = int(np.prod(shape)), shape[1] * shape[2]
    keys = [split_mix(split_mix(seed) ^ i) for i in range(first, n)]
    return budget_mask(keys, k, first).reshape(shape)


def run_lengths(mask):
    """Tubelets until the next kept one at the same position, or the clip's end; of the kept, in (t, h, w)
    order. [1,1,1,1] and [1,0,0,0] at two positions give [1, 4, 1, 1, 1]."""
    lengths = np.zeros(mask.shape, int)
    left = np.zeros(mask.shape[1:], int)
    for t in reversed(range(len(mask))):
        left += 1
        lengths[t] = left
        left[mask[t]] = 0
    return lengths[mask]


def run_source(mask):
    """For each tubelet the rank, among the kept, of the one that heads its run: (T/s, h, w)."""
    rank = np.cumsum(mask.ravel()).reshape(mask.shape) - 1
    source = np.zeros(mask.shape, int)
    for t in range(len(mask)):
        source[t] = np.where(mask[t], rank[t], source[t - 1])
    return source
