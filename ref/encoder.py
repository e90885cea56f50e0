"""What every family shares, in NumPy and in double: the weights of a directory, the pre-norm block,
attention, norms, activations, patches, positions.

    D  width of the model            H  heads             N  tokens of a clip
    L  blocks                        d  = D / H           M  inner width of the MLP
    T  frames                        s  frames a token spans (the tubelet), p its pixel side

Linear layers keep the layout of the files, W (out, in): y = x W^T + b. Nothing here is fast; it is meant
to be read beside the paper and compared with the C code.
"""
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

# ---- weights ------------------------------------------------------------------------------------------


def read_config(directory):
    return json.loads((Path(directory) / "config.json").read_text())


def to_double(data, dtype):
    """Bytes of a tensor as float64; None for integers, which no model here needs."""
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").astype(np.float64)
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
    return np.frombuffer(data, kinds[dtype]).astype(np.float64) if dtype in kinds else None


def read_safetensors(path):
    """{name: float64 array}. A file is: length of the header (u64), the header (JSON), the data."""
    content = Path(path).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = to_double(content[start + begin:start + end], entry["dtype"])
            if values is not None:
                tensors[name] = values.reshape(entry["shape"])
    return tensors


class Tensors:
    """The tensors of a directory by any of their names: a family's prefix ("vit.") may be there or not."""

    def __init__(self, directory, prefix):
        directory, index = Path(directory), Path(directory) / "model.safetensors.index.json"
        files = {"model.safetensors"}
        if index.exists():
            files = set(json.loads(index.read_text())["weight_map"].values())
        self.tensors = {}
        for file in files:
            for name, values in read_safetensors(directory / file).items():
                self.tensors[name.removeprefix(prefix)] = values

    def get(self, *names):
        return next((self.tensors[name] for name in names if name in self.tensors), None)

    def need(self, *names):
        values = self.get(*names)
        if values is None:
            raise KeyError(f"no tensor {' or '.join(names)}")
        return values

    def linear(self, *names):
        """(W (out, in), b (out) or 0)"""
        bias = self.get(*(f"{name}.bias" for name in names))
        return self.need(*(f"{name}.weight" for name in names)), 0.0 if bias is None else bias

    def norm(self, *names):
        """(weight (D), bias (D))"""
        return self.need(*(f"{name}.weight" for name in names)), self.need(*(f"{name}.bias" for name in names))

    def has(self, *names):
        return self.get(*names) is not None


# ---- layers -------------------------------------------------------------------------------------------


def linear(x, layer):
    weight, bias = layer
    return x @ weight.T + bias


def layer_norm(x, norm, eps):
    """Ba et al. 2016: over the last axis, with the biased variance."""
    weight, bias = norm
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * weight + bias


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    """Hendrycks and Gimpel 2016: x times the normal distribution function."""
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x ** 3)))


def gelu_quick(x):
    return x * sigmoid(1.702 * x)


def silu(x):
    return x * sigmoid(x)


ACTIVATIONS = {  # by the config's hidden_act
    "gelu": gelu, "gelu_fast": gelu_tanh, "gelu_new": gelu_tanh, "gelu_pytorch_tanh": gelu_tanh,
    "quick_gelu": gelu_quick, "silu": silu,
}


def heads_of(x, H):
    """(N, D) -> (H, N, d)"""
    return x.reshape(len(x), H, -1).transpose(1, 0, 2)


def attention(q, k, v, H):
    """softmax(Q K^T / sqrt(d)) V in each of H heads (Vaswani et al. 2017). q (Nq, D); k, v (N, D)."""
    q, k, v = heads_of(q, H), heads_of(k, H), heads_of(v, H)
    weights = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))  # (H, Nq, N)
    return (weights @ v).transpose(1, 0, 2).reshape(q.shape[1], -1)        # (Nq, D)


# ---- the encoder --------------------------------------------------------------------------------------


class Block(NamedTuple):
    norm1: tuple
    q: tuple
    k: tuple
    v: tuple
    proj: tuple
    norm2: tuple
    fc1: tuple              # SwiGLU: its rows are the gate's, then the values'
    fc2: tuple
    scale1: object = 1.0    # layer scale (D)
    scale2: object = 1.0
    gated: bool = False


def mlp(y, block, activation):
    """W2 g(W1 y), or SwiGLU: W2 (silu(Wg y) * Wu y) (Shazeer 2020)."""
    hidden = linear(y, block.fc1)
    if block.gated:
        gate, values = np.split(hidden, 2, axis=-1)
        return linear(silu(gate) * values, block.fc2)
    return linear(activation(hidden), block.fc2)


def run_block(x, block, H, activation, eps):
    """x + s1 Attention(LN(x)), then x + s2 MLP(LN(x)) (ViT, equations 2 and 3). x (N, D)."""
    y = layer_norm(x, block.norm1, eps)
    mixed = attention(linear(y, block.q), linear(y, block.k), linear(y, block.v), H)
    x = x + block.scale1 * linear(mixed, block.proj)
    return x + block.scale2 * mlp(layer_norm(x, block.norm2, eps), block, activation)


def run_blocks(x, blocks, H, activation, eps):
    """{"hidden.0": input of block 1, ..., "hidden.L": output of the last block} and the latter."""
    hidden = {"hidden.0": x}
    for i, block in enumerate(blocks):
        x = run_block(x, block, H, activation, eps)
        hidden[f"hidden.{i + 1}"] = x
    return hidden, x


# ---- patches and positions ----------------------------------------------------------------------------


def embed_patches(pixels, projection):
    """A convolution whose stride is its kernel: tubelets of s x p x p pixels, each through one linear layer.

    pixels (T, 3, h, w), weight (D, 3, s, p, p) or (D, 3, p, p) -> tokens (N, D) in the order (t, h, w).
    """
    weight, bias = projection
    if weight.ndim == 4:
        weight = weight[:, :, None]
    D, channels, s, p, _ = weight.shape
    t, h, w = pixels.shape[0] // s, pixels.shape[2] // p, pixels.shape[3] // p
    x = pixels[:t * s, :, :h * p, :w * p].reshape(t, s, channels, h, p, w, p)
    x = x.transpose(0, 3, 5, 2, 1, 4, 6).reshape(t * h * w, -1)  # rows (c, t, h, w), as the weight's
    return x @ weight.reshape(D, -1).T + bias


def sinusoid(N, D):
    """P[n, 2i] = sin(n / 10000^(2i/D)), P[n, 2i + 1] = cos of the same, rounded to float32 as published."""
    n, j = np.arange(N)[:, None], np.arange(D)[None, :]
    angle = n / 10000.0 ** (2 * (j // 2) / D)
    return np.where(j % 2 == 0, np.sin(angle), np.cos(angle)).astype(np.float32).astype(np.float64)


def cubic(x, a):
    """Keys 1981."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def resize_matrix(n_in, n_out, antialias):
    """R (n_out, n_in) of PyTorch's bicubic interpolation with align_corners=False.

    Without antialiasing: a = -0.75, four taps, those past an end fall on the end. With it: a = -0.5, the
    kernel as wide as the downscale asks for, cut at the ends and normalised.
    """
    scale = n_in / n_out
    centre = (np.arange(n_out) + 0.5) * scale - 0.5
    R = np.zeros((n_out, n_in))
    if antialias:
        return normalised(cubic((np.arange(n_in) - centre[:, None]) / max(scale, 1), -0.5))
    for i, c in enumerate(centre):
        for tap in range(math.floor(c) - 1, math.floor(c) + 3):
            R[i, min(max(tap, 0), n_in - 1)] += cubic(tap - c, -0.75)
    return R


def normalised(R):
    return R / R.sum(1, keepdims=True)


def resize_positions(table, h, w, antialias=False):
    """Positions of a square grid, (n, D), for a grid of h x w patches: (h w, D)."""
    side = math.isqrt(len(table))
    if (h, w) == (side, side):
        return table
    grid = table.reshape(side, side, -1)
    down, across = resize_matrix(side, h, antialias), resize_matrix(side, w, antialias)
    return np.einsum("yi,xj,ijd->yxd", down, across, grid).reshape(h * w, -1)


def positions_for(table, pixels, p, n_prefix, fixed=False, antialias=False):
    """Rows of the prefix tokens as they are, those of the patches for the input's size."""
    h, w = pixels.shape[2] // p, pixels.shape[3] // p
    patches = table[n_prefix:]
    return np.concatenate([table[:n_prefix], patches if fixed else resize_positions(patches, h, w, antialias)])
