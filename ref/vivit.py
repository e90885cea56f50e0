"""ViViT (Arnab et al. 2021), model 1: joint space-time attention over tubelets, with a class token and
learned positions. Its processor maps bytes to [-1, 1] by x / 127.5 - 1 ("offset") and then, in the
published checkpoints, normalises once more with mean and std 0.5: to [-3, 1]."""
import numpy as np

from encoder import ACTIVATIONS, Tensors, embed_patches, layer_norm, linear, read_config, run_blocks
from processor import pixel_values
from vit import read_block, read_pooled


def run(directory, frames):
    config, tensors = read_config(directory), Tensors(directory, "vivit.")
    pixels = pixel_values(directory, frames, "Vivit")
    patches = embed_patches(pixels.astype(np.float64), tensors.linear("embeddings.patch_embeddings.projection"))
    x = np.concatenate([tensors.need("embeddings.cls_token")[0], patches])
    x = x + tensors.need("embeddings.position_embeddings")[0]
    blocks = [read_block(tensors, i) for i in range(config["num_hidden_layers"])]
    eps = config["layer_norm_eps"]
    hidden, x = run_blocks(x, blocks, config["num_attention_heads"], ACTIVATIONS[config["hidden_act"]], eps)
    last = layer_norm(x, tensors.norm("layernorm"), eps)
    results = {"pixel_values": pixels, **hidden, "last": last, "head": read_pooled(tensors, last)}
    if tensors.has("classifier.weight"):
        results["logits"] = linear(last[0], tensors.linear("classifier"))
    return results
