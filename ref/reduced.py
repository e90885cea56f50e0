"""A whole model with RLT and ToMe, in double: the tokens of its family's twin (hidden.0), fewer of them.

One field unites the methods, the size s of a token: it starts as the run length where RLT's lengths have
`bias` or `pool`, else as 1, and grows by merging. Keys get log s where ToMe is proportional or the
lengths have `bias`; means are weighted by s where ToMe is on or the lengths have `pool`.
"""
import importlib
import math

import numpy as np

import rlt as RLT
import tome as TOME
from encoder import ACTIVATIONS, Tensors, heads_of, layer_norm, linear, mlp, read_config, softmax
from processor import centre_crop, read_processor, resize, target_size

FAMILIES = {  # model_type: module, prefix of tensor names, processor, function that reads a block
    "videomae": ("videomae", "videomae.", "VideoMAE", "read_videomae_block"),
    "vivit": ("vivit", "vivit.", "Vivit", "read_block"),
    "vit": ("vit", "vit.", "ViT", "read_block"),
    "deit": ("deit", "deit.", "DeiT", None),
    "dinov2": ("dinov2", "dinov2.", "Bit", "read_block"),
    "siglip_vision_model": ("siglip", "vision_model.", "Siglip", "read_block"),
}
PROTECTED = {"videomae": 0, "vivit": 1, "vit": 1, "deit": 2, "dinov2": 1, "siglip_vision_model": 0}


def attention(q, k, v, H, bias):
    q, k, v = heads_of(q, H), heads_of(k, H), heads_of(v, H)
    weights = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]) + bias)
    return (weights @ v).transpose(1, 0, 2).reshape(q.shape[1], -1)


def crop_bytes(directory, frames, family):
    """Frames after the processor's resize and crop, still bytes."""
    processor, out = read_processor(directory, family), []
    for image in frames:
        if processor["do_resize"]:
            image = resize(image, *target_size(processor["size"], *image.shape[:2]), processor["resample"])
        out.append(centre_crop(image, processor["crop_size"]) if processor["do_center_crop"] else image)
    return np.stack(out), processor


def rlt_mask(directory, frames, family, config, rlt):
    """(T/s, h, w) of bool, or None without RLT."""
    pixels, processor = crop_bytes(directory, frames, family)
    p, s = config["patch_size"], config.get("tubelet_size", 2)
    if isinstance(s, list):
        s, p = s[0], s[1]
    std = processor["image_std"]
    if "tau" in rlt:
        R = 1 / processor["rescale_factor"]
        return RLT.threshold_mask(pixels, s, p, std, R, rlt["tau"], rlt.get("reference", "run_head"))
    n_prefix = PROTECTED[config["model_type"]]
    if "keep" in rlt:
        return RLT.keep_mask(pixels, s, p, std, rlt["keep"] - n_prefix)
    shape = len(pixels) // s, pixels.shape[1] // p, pixels.shape[2] // p
    return RLT.random_mask(shape, rlt["random"] - n_prefix, rlt.get("seed", 0))


def attention_pool(tensors, last, config, bias):
    """SigLIP's (siglip.py): a mean weighted by attention, so sizes weigh as log s in its logits."""
    weights = np.split(tensors.need("head.attention.in_proj_weight"), 3)
    biases = np.split(tensors.need("head.attention.in_proj_bias"), 3)
    probe = tensors.need("head.probe")[0]
    q, k, v = (linear(x, layer) for x, layer in zip((probe, last, last), zip(weights, biases)))
    z = linear(attention(q, k, v, config["num_attention_heads"], bias), tensors.linear("head.attention.out_proj"))[0]
    y = layer_norm(z, tensors.norm("head.layernorm"), config["layer_norm_eps"])
    hidden = ACTIVATIONS[config["hidden_act"]](linear(y, tensors.linear("head.mlp.fc1")))
    return z + linear(hidden, tensors.linear("head.mlp.fc2"))


def readout(config, tensors, x, sizes, prefix):
    """The logits of the last block's output; `sizes` weigh the mean."""
    kind, eps = config["model_type"], config["layer_norm_eps"]
    if kind == "videomae":
        head = layer_norm(np.average(x, axis=0, weights=sizes), tensors.norm("fc_norm"), 1e-5)
        return linear(head, tensors.linear("classifier"))
    if kind == "siglip_vision_model":
        last = layer_norm(x, tensors.norm("post_layernorm"), eps)
        return attention_pool(tensors, last, config, np.log(sizes))
    last = layer_norm(x, tensors.norm("layernorm"), eps)
    if kind == "deit":
        return importlib.import_module("deit").classify(tensors, last)
    if kind == "dinov2":
        mean = np.average(last[prefix:], axis=0, weights=sizes[prefix:])
        return linear(np.concatenate([last[0], mean]), tensors.linear("classifier"))
    return linear(last[0], tensors.linear("classifier"))


def run(directory, frames, rlt=None, tome=None):
    """rlt: {"tau" | "keep" | "random": ..., "reference", "seed", "lengths": [...]}; tome: {"merges": spec,
    "proportional": bool}. Returns kept, lengths, source (of every token), layers and logits."""
    config = read_config(directory)
    kind = config["model_type"]
    module, prefix_name, processor, read_block = FAMILIES[kind]
    twin, tensors = importlib.import_module(module), Tensors(directory, prefix_name)
    read_block = getattr(importlib.import_module("vit" if read_block is None else module), read_block or "read_block")
    x = twin.run(directory, frames)["hidden.0"]
    prefix, N = PROTECTED[kind], len(x)
    lengths_used = (rlt or {}).get("lengths", [])
    kept, lengths, source = np.arange(N), np.ones(N), np.arange(N)
    if rlt:
        mask = rlt_mask(directory, frames, processor, config, rlt)
        kept = np.concatenate([np.arange(prefix), prefix + np.flatnonzero(mask)])
        lengths = np.concatenate([np.ones(prefix), RLT.run_lengths(mask)])
        source = np.concatenate([np.arange(prefix), prefix + RLT.run_source(mask).ravel()])
        x = x[kept]
        if "embed" in lengths_used:
            table = tensors.need("rlt.length_embedding.weight")
            x[prefix:] = x[prefix:] + table[lengths[prefix:].astype(int) - 1]
    L, H, eps = config["num_hidden_layers"], config["num_attention_heads"], config["layer_norm_eps"]
    activation = ACTIVATIONS[config["hidden_act"]]
    sizes = lengths.copy() if {"bias", "pool"} & set(lengths_used) else np.ones(len(x))
    biased = bool(tome and tome["proportional"]) or "bias" in lengths_used
    r_of, layers = (TOME.merges(tome["merges"], L) if tome else lambda i, n: 0), []
    for i in range(L):
        block = read_block(tensors, i)
        y = layer_norm(x, block.norm1, eps)
        keys = linear(y, block.k)
        mixed = attention(linear(y, block.q), keys, linear(y, block.v), H, np.log(sizes) if biased else 0.0)
        x = x + block.scale1 * linear(mixed, block.proj)
        a, b = TOME.match(TOME.metric(keys, H), r_of(i, len(x)), prefix)
        if len(a):
            to = TOME.new_rows(len(x), a, b, prefix)
            x, sizes = TOME.merge(x, sizes, to)
            source = to[source]
        x = x + block.scale2 * mlp(layer_norm(x, block.norm2, eps), block, activation)
        layers.append(len(x))
    weights = sizes if tome or "pool" in lengths_used else np.ones(len(x))
    return {"kept": kept, "lengths": lengths, "source": source, "layers": np.array(layers),
            "logits": readout(config, tensors, x, weights, prefix)}
