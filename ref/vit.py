"""ViT (Dosovitskiy et al. 2021): patches of one image, a class token, learned positions.

    z0 = [class; x1 E; ...; xN E] + P     (1)
    z' = MSA(LN(z)) + z                   (2)
    z  = MLP(LN(z')) + z'                 (3)
    y  = LN(zL)[0]                        (4)

Tensor names of transformers 4, of transformers 5 and of timm, whose q, k and v are one matrix.
"""
import numpy as np

from encoder import (ACTIVATIONS, Block, Tensors, embed_patches, layer_norm, linear, positions_for, read_config,
                     run_blocks)
from processor import pixel_values


def read_qkv(tensors, i):
    """Three (W, b)."""
    fused = tensors.get(f"blocks.{i}.attn.qkv.weight")
    if fused is None:
        return [tensors.linear(f"encoder.layer.{i}.attention.attention.{long}", f"layers.{i}.attention.{short}_proj")
                for long, short in (("query", "q"), ("key", "k"), ("value", "v"))]
    bias = tensors.get(f"blocks.{i}.attn.qkv.bias")
    biases = [0.0] * 3 if bias is None else np.split(bias, 3)
    return list(zip(np.split(fused, 3), biases))


def read_block(tensors, i):
    v4, v5, timm = f"encoder.layer.{i}.", f"layers.{i}.", f"blocks.{i}."
    q, k, v = read_qkv(tensors, i)
    return Block(
        norm1=tensors.norm(v4 + "layernorm_before", v5 + "layernorm_before", timm + "norm1"), q=q, k=k, v=v,
        proj=tensors.linear(v4 + "attention.output.dense", v5 + "attention.o_proj", timm + "attn.proj"),
        norm2=tensors.norm(v4 + "layernorm_after", v5 + "layernorm_after", timm + "norm2"),
        fc1=tensors.linear(v4 + "intermediate.dense", v5 + "mlp.fc1", timm + "mlp.fc1"),
        fc2=tensors.linear(v4 + "output.dense", v5 + "mlp.fc2", timm + "mlp.fc2"))


def read_eps(tensors, config):
    """timm's files do not say their epsilon."""
    is_timm = tensors.has("blocks.0.norm1.weight")
    return config.get("layer_norm_eps", 1e-6 if is_timm else 1e-12)


def read_pooled(tensors, last):
    """tanh(W y + b) of the class token where the file has a pooler, else the token itself."""
    if tensors.has("pooler.dense.weight"):
        return np.tanh(linear(last[0], tensors.linear("pooler.dense")))
    return last[0]


def encode(tensors, config, pixels, prefix):
    """Equations 1 to 4 with the tokens `prefix` (n, D) in front; returns the hidden states and LN(zL)."""
    projection = tensors.linear("embeddings.patch_embeddings.projection", "patch_embed.proj")
    table = tensors.need("embeddings.position_embeddings", "pos_embed")[0]  # (n + patches, D)
    patches = embed_patches(pixels, projection)
    fixed = not is_square(config["image_size"])  # a table that is no square belongs to one size
    x = np.concatenate([prefix, patches])
    x = x + positions_for(table, pixels, config["patch_size"], len(prefix), fixed)
    eps = read_eps(tensors, config)
    blocks = [read_block(tensors, i) for i in range(config["num_hidden_layers"])]
    hidden, x = run_blocks(x, blocks, config["num_attention_heads"], ACTIVATIONS[config["hidden_act"]], eps)
    return hidden, layer_norm(x, tensors.norm("layernorm", "norm"), eps)


def is_square(image_size):
    return isinstance(image_size, int) or image_size[0] == image_size[1]


def run(directory, frames):
    config, tensors = read_config(directory), Tensors(directory, "vit.")
    pixels = pixel_values(directory, frames, "ViT")
    class_token = tensors.need("embeddings.cls_token", "cls_token")[0]  # (1, D)
    hidden, last = encode(tensors, config, pixels.astype(np.float64), class_token)
    results = {"pixel_values": pixels[0], **hidden, "last": last, "head": read_pooled(tensors, last)}
    if tensors.has("classifier.weight", "head.weight"):
        results["logits"] = linear(last[0], tensors.linear("classifier", "head"))
    return results
