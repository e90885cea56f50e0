"""The image tower of CLIP (Radford et al. 2021): a ViT with a norm before the first block (misspelt in
every file), none over the tokens after the last, and no bias in the patch embedding. The class token alone
is normalised at the end and projected into the space shared with text. A classifier reads the mean of the
patches."""
import numpy as np

from encoder import (ACTIVATIONS, Block, Tensors, embed_patches, layer_norm, linear, positions_for, read_config,
                     run_blocks)
from processor import pixel_values


def read_block(tensors, i):
    at = f"encoder.layers.{i}."
    q, k, v, proj = (tensors.linear(f"{at}self_attn.{name}_proj") for name in ("q", "k", "v", "out"))
    return Block(norm1=tensors.norm(at + "layer_norm1"), q=q, k=k, v=v, proj=proj,
                 norm2=tensors.norm(at + "layer_norm2"), fc1=tensors.linear(at + "mlp.fc1"),
                 fc2=tensors.linear(at + "mlp.fc2"))


def run(directory, frames):
    config, tensors = read_config(directory), Tensors(directory, "vision_model.")
    config = config.get("vision_config", config)
    pixels = pixel_values(directory, frames, "CLIP")
    double = pixels.astype(np.float64)
    x = np.concatenate([tensors.need("embeddings.class_embedding")[None],
                        embed_patches(double, tensors.linear("embeddings.patch_embedding"))])
    x = x + positions_for(tensors.need("embeddings.position_embedding.weight"), double, config["patch_size"], 1)
    eps = config["layer_norm_eps"]
    x = layer_norm(x, tensors.norm("pre_layrnorm"), eps)
    blocks = [read_block(tensors, i) for i in range(config["num_hidden_layers"])]
    hidden, last = run_blocks(x, blocks, config["num_attention_heads"], ACTIVATIONS[config["hidden_act"]], eps)
    head = layer_norm(last[0], tensors.norm("post_layernorm"), eps)
    if tensors.has("visual_projection.weight"):
        head = linear(head, tensors.linear("visual_projection"))
    results = {"pixel_values": pixels[0], **hidden, "last": last, "head": head}
    if tensors.has("classifier.weight"):
        results["logits"] = linear(last[1:].mean(0), tensors.linear("classifier"))
    return results
