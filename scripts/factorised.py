"""ViViT's factorised encoder (Arnab et al. 2021, model 2) in PyTorch; state_dict() has the names of the files.

A ViT over each snippet of `tubelet` frames, then a small transformer over the snippets' class tokens. No class of
transformers computes it: the directory's form is Vidette's own (docs/models.md).
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn


class FactorisedBlock(nn.Module):
    def __init__(self, d, heads, mlp, eps):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d, eps), nn.LayerNorm(d, eps)
        self.attention = nn.ModuleDict(dict(qkv=nn.Linear(d, 3 * d), proj=nn.Linear(d, d)))
        self.mlp = nn.ModuleDict(dict(fc1=nn.Linear(d, mlp), fc2=nn.Linear(mlp, d)))

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.attention.qkv(self.norm1(x)).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        x = x + self.attention.proj((weights @ v).transpose(1, 2).reshape(b, n, d))
        return x + self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x))))


class FactorisedPart(nn.Module):
    """A transformer with a class token of its own, which stands first; gives all tokens after the final norm."""

    def __init__(self, n, layers, d, heads, mlp, eps):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, d))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 1 + n, d))
        self.layer = nn.ModuleList(FactorisedBlock(d, heads, mlp, eps) for _ in range(layers))
        self.norm = nn.LayerNorm(d, eps)

    def forward(self, x, keep=None):
        """x (B, n, D); keep: True for the tokens of x to go on with, equally many of each sequence."""
        x = x + self.position_embeddings[:, 1:]
        if keep is not None:
            x = x[keep].view(len(x), -1, x.shape[-1])
        x = torch.cat([(self.cls_token + self.position_embeddings[:, :1]).expand(len(x), -1, -1), x], 1)
        for layer in self.layer:
            x = layer(x)
        return self.norm(x)


class FactorisedVivit(nn.Module):
    def __init__(self, config, labels):
        super().__init__()
        d, tubelet = config["hidden_size"], config["tubelet_size"]
        sizes = d, config["num_attention_heads"], config["intermediate_size"], config["layer_norm_eps"]
        self.vivit_fe = nn.ModuleDict(dict(
            embeddings=nn.ModuleDict(dict(projection=nn.Conv3d(3, d, tubelet, tubelet))),
            spatial=FactorisedPart((config["image_size"] // tubelet[1]) ** 2, config["spatial_layers"], *sizes),
            temporal=FactorisedPart(config["num_frames"] // tubelet[0], config["temporal_layers"], *sizes)))
        self.classifier = nn.Linear(d, labels)

    def embed(self, frames):
        """frames (B, T, 3, h, w) to the tokens of each snippet (B, snippets, n, D)."""
        x = self.vivit_fe.embeddings.projection(frames.transpose(1, 2))
        return x.flatten(3).permute(0, 2, 3, 1)

    def forward(self, frames, keep=None):
        """The spatial tokens (B, snippets, 1 + n, D), the head (B, D) and the logits; keep (B, snippets, n) as above."""
        x = self.embed(frames)
        x = self.vivit_fe.spatial(x.flatten(0, 1), None if keep is None else keep.flatten(0, 1))
        x = x.unflatten(0, (len(frames), -1))
        head = self.vivit_fe.temporal(x[:, :, 0])[:, 0]
        return x, head, self.classifier(head)


def save_factorised(model, config, directory):
    """The two files that make a model directory: weights as they are, config.json with `config`'s fields."""
    directory = Path(directory)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()},
              directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def load_factorised(directory):
    """The model of such a directory, in float32."""
    config = json.loads((Path(directory) / "config.json").read_text())
    model = FactorisedVivit(config, len(config["id2label"]))
    model.load_state_dict({k: v.float() for k, v in load_file(Path(directory) / "model.safetensors").items()})
    return model.eval()


@torch.no_grad()
def start_from_videomae(model, videomae):
    """Initial weights out of a VideoMAE of the same width, tubelet and blocks.

    Its embedding, blocks and mean position of each place go to the snippets; the first temporal layer adds the mean
    of the snippets' class tokens to its own, the others add nothing yet, and VideoMAE's head reads the sum.
    """
    spatial, temporal = model.vivit_fe.spatial, model.vivit_fe.temporal
    places, d = spatial.position_embeddings.shape[1] - 1, spatial.cls_token.shape[-1]
    model.vivit_fe.embeddings.projection.load_state_dict(
        videomae.videomae.embeddings.patch_embeddings.projection.state_dict())
    spatial.position_embeddings[:, 1:] = videomae.videomae.embeddings.position_embeddings.unflatten(
        1, (-1, places)).mean(1)
    spatial.cls_token.normal_(std=0.02)
    for block, old in zip(spatial.layer, videomae.videomae.encoder.layer, strict=True):
        attention = old.attention.attention
        block.attention.qkv.weight.copy_(torch.cat([attention.query.weight, attention.key.weight,
                                                    attention.value.weight]))
        block.attention.qkv.bias.copy_(torch.cat([attention.q_bias, torch.zeros(d), attention.v_bias]))
        for new, source in ((block.norm1, old.layernorm_before), (block.norm2, old.layernorm_after),
                            (block.attention.proj, old.attention.output.dense),
                            (block.mlp.fc1, old.intermediate.dense), (block.mlp.fc2, old.output.dense)):
            new.load_state_dict(source.state_dict())
    spatial.norm.load_state_dict(videomae.fc_norm.state_dict())
    model.classifier.load_state_dict(videomae.classifier.state_dict())
    temporal.position_embeddings.normal_(std=0.02)
    for i, block in enumerate(temporal.layer):
        block.attention.qkv.weight[2 * d:] = torch.eye(d)
        block.attention.qkv.bias.zero_()
        block.attention.proj.weight.copy_(torch.eye(d) * (i == 0))
        block.attention.proj.bias.zero_()
        block.mlp.fc2.weight.mul_(0.1)
        block.mlp.fc2.bias.zero_()
