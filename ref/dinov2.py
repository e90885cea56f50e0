"""DINOv2 (Oquab et al. 2023): ViT with layer scale, x + s * f(LN(x)), an MLP that may be SwiGLU, and
positions that are resized to whatever the input is. With registers (Darcet et al. 2023): tokens without
positions between the class token and the patches; their positions are resized with antialiasing. The
classifier reads [class token, mean of the patches]."""
import numpy as np

from encoder import (ACTIVATIONS, Block, Tensors, embed_patches, layer_norm, linear, positions_for, read_config,
                     run_blocks)
from processor import pixel_values


def read_mlp(tensors, at):
    """fc1, fc2, gated. transformers 5 keeps the two halves of SwiGLU's first matrix apart."""
    if tensors.has(at + "mlp.fc1.weight"):
        return tensors.linear(at + "mlp.fc1"), tensors.linear(at + "mlp.fc2"), False
    if tensors.has(at + "mlp.weights_in.weight"):
        return tensors.linear(at + "mlp.weights_in"), tensors.linear(at + "mlp.weights_out"), True
    gate, up = tensors.linear(at + "mlp.gate_proj"), tensors.linear(at + "mlp.up_proj")
    both = np.concatenate([gate[0], up[0]]), np.concatenate([gate[1], up[1]])
    return both, tensors.linear(at + "mlp.down_proj"), True


def read_block(tensors, i):
    at = f"encoder.layer.{i}."
    q, k, v = (tensors.linear(f"{at}attention.attention.{long}", f"{at}attention.{short}_proj")
               for long, short in (("query", "q"), ("key", "k"), ("value", "v")))
    fc1, fc2, gated = read_mlp(tensors, at)
    return Block(norm1=tensors.norm(at + "norm1"), q=q, k=k, v=v,
                 proj=tensors.linear(at + "attention.output.dense", at + "attention.o_proj"),
                 scale1=tensors.need(at + "layer_scale1.lambda1"), norm2=tensors.norm(at + "norm2"),
                 fc1=fc1, fc2=fc2, scale2=tensors.need(at + "layer_scale2.lambda1"), gated=gated)


def embed(tensors, config, pixels):
    """[class + P0; registers; patches + P] (N, D) and the number of registers."""
    table = tensors.need("embeddings.position_embeddings")[0]
    registers = tensors.get("embeddings.register_tokens")
    antialias = registers is not None
    registers = registers[0] if antialias else table[:0]
    x = np.concatenate([tensors.need("embeddings.cls_token")[0],
                        embed_patches(pixels, tensors.linear("embeddings.patch_embeddings.projection"))])
    x = x + positions_for(table, pixels, config["patch_size"], 1, antialias=antialias)
    return np.concatenate([x[:1], registers, x[1:]]), len(registers)


def run(directory, frames):
    config = read_config(directory)
    tensors = Tensors(directory, config["model_type"] + ".")
    pixels = pixel_values(directory, frames, "Bit")
    x, n_registers = embed(tensors, config, pixels.astype(np.float64))
    blocks = [read_block(tensors, i) for i in range(config["num_hidden_layers"])]
    eps = config["layer_norm_eps"]
    hidden, x = run_blocks(x, blocks, config["num_attention_heads"], ACTIVATIONS[config["hidden_act"]], eps)
    last = layer_norm(x, tensors.norm("layernorm"), eps)
    results = {"pixel_values": pixels[0], **hidden, "last": last, "head": last[0]}
    if tensors.has("classifier.weight"):
        read = np.concatenate([last[0], last[1 + n_registers:].mean(0)])  # (2 D)
        results["logits"] = linear(read, tensors.linear("classifier"))
    return results
