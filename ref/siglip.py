"""The image tower of SigLIP (Zhai et al. 2023) and of fixed-resolution SigLIP 2: a ViT without a class
token. A learned probe attends to all tokens; an MLP with a residual follows, and there is no residual from
the probe. A classifier reads the mean of the tokens instead."""
import numpy as np

from clip import read_block
from encoder import (ACTIVATIONS, Tensors, attention, embed_patches, layer_norm, linear, positions_for,
                     read_config, run_blocks)
from processor import pixel_values


def attention_pool(tensors, last, H, activation, eps):
    """z = Attention(probe, last); z + MLP(LN(z)). last (N, D) -> (D)."""
    weights = np.split(tensors.need("head.attention.in_proj_weight"), 3)
    biases = np.split(tensors.need("head.attention.in_proj_bias"), 3)
    probe = tensors.need("head.probe")[0]  # (1, D)
    q, k, v = (linear(x, layer) for x, layer in zip((probe, last, last), zip(weights, biases)))
    z = linear(attention(q, k, v, H), tensors.linear("head.attention.out_proj"))[0]
    y = layer_norm(z, tensors.norm("head.layernorm"), eps)
    return z + linear(activation(linear(y, tensors.linear("head.mlp.fc1"))), tensors.linear("head.mlp.fc2"))


def run(directory, frames):
    config, tensors = read_config(directory), Tensors(directory, "vision_model.")
    config = config.get("vision_config", config)
    H, eps, activation = config["num_attention_heads"], config["layer_norm_eps"], ACTIVATIONS[config["hidden_act"]]
    pixels = pixel_values(directory, frames, "Siglip")
    double = pixels.astype(np.float64)
    x = embed_patches(double, tensors.linear("embeddings.patch_embedding"))
    x = x + positions_for(tensors.need("embeddings.position_embedding.weight"), double, config["patch_size"], 0)
    blocks = [read_block(tensors, i) for i in range(config["num_hidden_layers"])]
    hidden, x = run_blocks(x, blocks, H, activation, eps)
    last = layer_norm(x, tensors.norm("post_layernorm"), eps)
    results = {"pixel_values": pixels[0], **hidden, "last": last}
    if tensors.has("head.probe"):
        results["head"] = attention_pool(tensors, last, H, activation, eps)
    if tensors.has("classifier.weight"):
        results["logits"] = linear(last.mean(0), tensors.linear("classifier"))
    return results
