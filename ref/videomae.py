"""VideoMAE (Tong et al. 2022): joint space-time attention over tubelets of s x p x p pixels.

Positions are sinusoids over the tokens in the order (t, h, w); there is no class token. Queries and
values have a bias, keys have none: it would add the same to all of a query's scores, and softmax cancels
it. The classifier reads LN(mean over the tokens), with the epsilon 1e-5 whatever the config says; without
mean pooling it reads the first token after a final norm.
"""
import numpy as np

from encoder import (ACTIVATIONS, Tensors, embed_patches, layer_norm, linear, read_config, run_blocks, sinusoid)
from processor import pixel_values
from vit import read_block

FC_NORM_EPS = 1e-5


def read_videomae_block(tensors, i):
    block, at = read_block(tensors, i), f"encoder.layer.{i}.attention.attention."
    q_bias, v_bias = tensors.get(at + "q_bias"), tensors.get(at + "v_bias")
    if q_bias is None:  # transformers 5: query.bias, which read_block has found
        return block
    return block._replace(q=(block.q[0], q_bias), v=(block.v[0], v_bias))


def run(directory, frames):
    config, tensors = read_config(directory), Tensors(directory, "videomae.")
    pixels = pixel_values(directory, frames, "VideoMAE")
    x = embed_patches(pixels.astype(np.float64), tensors.linear("embeddings.patch_embeddings.projection"))
    x = x + sinusoid(*x.shape)
    blocks = [read_videomae_block(tensors, i) for i in range(config["num_hidden_layers"])]
    eps = config["layer_norm_eps"]
    hidden, x = run_blocks(x, blocks, config["num_attention_heads"], ACTIVATIONS[config["hidden_act"]], eps)
    if config["use_mean_pooling"]:
        last, head = x, x.mean(0)
        if tensors.has("fc_norm.weight"):
            head = layer_norm(head, tensors.norm("fc_norm"), FC_NORM_EPS)
    else:
        last = layer_norm(x, tensors.norm("layernorm"), eps)
        head = last[0]
    results = {"pixel_values": pixels, **hidden, "last": last, "head": head}
    if tensors.has("classifier.weight"):
        results["logits"] = linear(head, tensors.linear("classifier"))
    return results
