#!/usr/bin/env python3
"""Makes tests/golden/<case>/: tiny random models as Hugging Face directories, with what they compute.

    pip install -r scripts/requirements.txt
    python scripts/make_golden.py                          all cases of transformers 4
    python scripts/make_golden.py --transformers5 DIR      those of transformers 5 too; DIR is a folder
                                                           made by `pip install --target DIR transformers`
    python scripts/make_golden.py vit_f16 clip_full        only these

A case is a directory as transformers saves it (config.json, the processor's file, model.safetensors or
shards) with two more files:

    source.npy             uint8 (T, H, W, 3): frames before the processor, as many as the model takes
    expected.safetensors   float32
        pixel_values       (T, 3, h, w), images (3, h, w): the slow processor of transformers on them
        hidden.0 .. .L     (N, D): input of block 1 (CLIP: after its first norm), then the output of each
                           block, taken by hooks: the last one is before the final norm
        last               (N, D): after the final norm, where the model has one over its tokens
        head               (D'): the model's own pooled output; what enters VideoMAE's classifier
        logits             (labels): where the model classifies

The reference is torch in float32. The same directory is also run in float64; both must agree within 1e-5
of a tensor's largest value, and the float64 result, rounded to float32, is what is stored: the data then
does not depend on the machine that made it. Seeds are fixed and NumPy draws every number.

Weights are drawn so that every part matters: matrices with variance 1 / fan-in, norms and biases away
from 1 and 0, layer scales 0.3 .. 1.5. (The usual initialisation, std 0.02, makes blocks nearly the
identity, and errors in them invisible.) In the cases with `stream`, everything that is added to the
residual stream is that much smaller: norms undo it, except for their epsilon, which then shows.
"""
import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import factorised

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
AGREEMENT = 1e-5  # float32 against float64, relative to a tensor's largest value
LABELS = ["walking", "running", "jumping up", "à l'arrêt", 'the "other"']


@dataclasses.dataclass
class Case:
    model: str                # class of transformers, or "timm"
    config: dict
    fields: dict              # the processor's, over its class's defaults
    frames: int = 1           # the source's T; 1 for images
    size: tuple = (45, 61)    # the source's H, W
    dtype: str = "float32"    # of the weights in the file
    shard_size: str = "50GB"
    saved_by: str = ""        # class that writes the processor's file; "": the family's slow one
    raw: bool = False         # write `fields` alone, as old versions and people do
    position_ids: bool = False  # add the integer tensors that old versions wrote
    nested: bool = False      # save the processor inside processor_config.json
    labels: int = 5
    stream: float = 1.0       # multiplies whatever writes to the residual stream
    version: int = 4          # of transformers

    @property
    def processor(self):
        """The slow processor of the model's family, which makes the pixel values."""
        family = next(name for name in SLOW_PROCESSORS if self.model.startswith(name))
        return SLOW_PROCESSORS[family]


SLOW_PROCESSORS = {
    "VideoMAE": "VideoMAEImageProcessor", "Vivit": "VivitImageProcessor", "ViT": "ViTImageProcessor",
    "VitDet": "ViTImageProcessor", "FactorisedVivit": "VideoMAEImageProcessor", "timm": "ViTImageProcessor", "DeiT": "DeiTImageProcessor", "Dinov2": "BitImageProcessor",
    "Siglip": "SiglipImageProcessor", "CLIP": "CLIPImageProcessor",
}


# ---- cases ------------------------------------------------------------------------------------------

def widths(d, heads, mlp, blocks=2, image=32, patch=8, **more):
    return dict(hidden_size=d, num_attention_heads=heads, intermediate_size=mlp, num_hidden_layers=blocks,
                image_size=image, patch_size=patch, **more)


def video_widths(*arguments, **more):
    return widths(*arguments, num_frames=4, tubelet_size=2, **more)


def vivit_widths(*arguments, **more):
    config = widths(*arguments, num_frames=4, tubelet_size=[2, 8, 8], **more)
    del config["patch_size"]
    return config


def towers(d, heads, mlp, **more):
    """Config of a model with an image tower and a text tower, the latter as small as can be."""
    text = dict(hidden_size=8, num_attention_heads=1, intermediate_size=8, num_hidden_layers=1, vocab_size=16,
                max_position_embeddings=4, bos_token_id=0, eos_token_id=1, pad_token_id=2)
    return dict(vision_config=widths(d, heads, mlp, **more), text_config=text)


def square(side):
    return {"height": side, "width": side}


def old_file(name, size, **more):
    """Fields as feature extractors wrote them: bare integers, and no rescaling mentioned."""
    return dict(do_normalize=True, do_resize=True, feature_extractor_type=name, size=size, **more)


IMAGENET = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
IMAGENET_BYTES = dict(image_mean=[123.675, 116.28, 103.53], image_std=[58.395, 57.12, 57.375])
HALF = dict(image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5])
OPENAI = dict(image_mean=[0.48145466, 0.4578275, 0.40821073], image_std=[0.26862954, 0.26130258, 0.27577711])
EXACT = dict(size=square(32))
CROPPED = dict(size={"shortest_edge": 36}, crop_size=square(32))
SMALL = dict(size={"shortest_edge": 27}, crop_size=square(24))  # with image=24

VIDEOMAE_CASES = {
    "videomae_mean": Case(
        "VideoMAEForVideoClassification", video_widths(40, 4, 80, 3), dict(CROPPED, **IMAGENET), frames=4,
        stream=0.01),
    "videomae_first_token": Case(  # after the final norm, instead of the mean
        "VideoMAEForVideoClassification", video_widths(32, 2, 64, use_mean_pooling=False),
        old_file("VideoMAEFeatureExtractor", 37, crop_size=32, do_center_crop=True, resample=2, **IMAGENET),
        frames=4, raw=True),
    "videomae_bf16": Case(
        "VideoMAEForVideoClassification", video_widths(36, 3, 72, image=[32, 24]),
        dict(size={"shortest_edge": 34}, crop_size={"height": 32, "width": 24}, do_rescale=False,
             **IMAGENET_BYTES),
        frames=4, dtype="bfloat16"),
    "videomae_sharded": Case(
        "VideoMAEForVideoClassification", video_widths(32, 4, 64, image=24),
        dict(size={"height": 30, "width": 27}, crop_size=square(24), do_normalize=False, resample=3),
        frames=4, shard_size="60KB"),
    "videomae_pretraining": Case(  # a decoder that is not run; the crop is higher than the resized frame
        "VideoMAEForPreTraining",
        video_widths(32, 2, 64, decoder_hidden_size=16, decoder_num_attention_heads=2,
                     decoder_num_hidden_layers=1, decoder_intermediate_size=16),
        dict(size={"shortest_edge": 27}, crop_size=square(32), **IMAGENET), frames=4, labels=0),
    "videomae_no_qkv_bias": Case(
        "VideoMAEForVideoClassification", video_widths(32, 2, 48, image=24, qkv_bias=False), SMALL,
        frames=4, size=(35, 47)),
}

VIVIT_CASES = {
    "vivit_classification": Case(
        "VivitForVideoClassification", vivit_widths(36, 2, 72),
        dict(size={"shortest_edge": 37}, crop_size=square(32)), frames=4),
    "vivit_pooler": Case(
        "VivitModel", vivit_widths(32, 4, 64, image=24),
        dict(SMALL, resample=0, offset=False, rescale_factor=1 / 255), frames=4, labels=0, stream=0.01),
}

VIT_CASES = {
    "vit_classification": Case(
        "ViTForImageClassification", widths(48, 3, 64, 3), EXACT, saved_by="ViTImageProcessorFast"),
    "vit_pooler": Case(
        "ViTModel", widths(32, 2, 64), old_file("ViTFeatureExtractor", 32, resample=1, **HALF), raw=True, labels=0,
        stream=0.01),
    "vit_timm_names": Case("timm", widths(40, 2, 80), dict(EXACT, resample=3), stream=0.01),
    "vit_larger": Case("ViTForImageClassification", widths(32, 2, 64), dict(size=square(48))),
    "vit_wide": Case(
        "ViTForImageClassification", widths(32, 4, 64), dict(size={"height": 24, "width": 56}, resample=0)),
    "vit_rectangular": Case(
        "ViTForImageClassification", widths(32, 2, 64, image=[24, 40]),
        dict(size={"height": 24, "width": 40}, **IMAGENET)),
    "vit_f16": Case("ViTForImageClassification", widths(36, 3, 64), EXACT, dtype="float16"),
    "vit_no_qkv_bias": Case(
        "ViTForImageClassification", widths(32, 2, 64, qkv_bias=False), dict(EXACT, do_resize=False), size=(32, 32)),
    "deit_classification": Case(
        "DeiTForImageClassification", widths(40, 4, 64), dict(size=square(37), crop_size=square(32), **IMAGENET)),
    "deit_with_teacher": Case(
        "DeiTForImageClassificationWithTeacher", widths(32, 2, 64),
        old_file("DeiTFeatureExtractor", 36, crop_size=32, do_center_crop=True, resample=3, **IMAGENET), raw=True),
    "deit_pooler": Case(
        "DeiTModel", widths(32, 4, 64), dict(size=square(48), crop_size=square(40), resample=1), labels=0,
        stream=0.01),
}

DINOV2_CASES = {  # the table of positions is of another size than the input, as in the published models
    "dinov2_classification": Case(
        "Dinov2ForImageClassification", widths(36, 3, 0, image=56, mlp_ratio=2), dict(CROPPED, **IMAGENET)),
    "dinov2_swiglu": Case(  # 45 pixels: the last 5 belong to no patch
        "Dinov2Model", widths(32, 2, 0, image=56, mlp_ratio=2, use_swiglu_ffn=True),
        dict(size={"shortest_edge": 45}, crop_size=square(45), **IMAGENET), labels=0, stream=0.01),
    "dinov2_registers_down": Case(
        "Dinov2WithRegistersForImageClassification",
        widths(32, 2, 0, image=56, mlp_ratio=2, num_register_tokens=3), dict(CROPPED, **IMAGENET)),
    "dinov2_registers_up": Case(
        "Dinov2WithRegistersModel",
        widths(32, 4, 0, image=24, mlp_ratio=2, num_register_tokens=4, use_swiglu_ffn=True),
        dict(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 40}, **IMAGENET), labels=0,
        stream=0.01),
}

SIGLIP_CASES = {
    "siglip_full": Case("SiglipModel", towers(40, 4, 64), EXACT, labels=0),
    "siglip_classification": Case("SiglipForImageClassification", towers(32, 2, 64), dict(EXACT, resample=2)),
    "siglip_vision": Case(
        "SiglipVisionModel", widths(32, 4, 64), dict(size=square(40)), saved_by="SiglipImageProcessorFast", labels=0,
        stream=0.01),
}

CLIP_CASES = {
    "clip_full": Case(
        "CLIPModel", dict(towers(36, 3, 72, blocks=3), projection_dim=20), CROPPED, position_ids=True, labels=0),
    "clip_vision": Case(  # 29 x 41 cropped to 32 x 32: 3 rows are padded, 9 columns go
        "CLIPVisionModel", widths(32, 2, 64), dict(do_resize=False, crop_size=square(32)), size=(29, 41), labels=0,
        stream=0.01),
    "clip_vision_projection": Case(
        "CLIPVisionModelWithProjection", widths(32, 4, 64, projection_dim=24), CROPPED,
        saved_by="CLIPImageProcessorFast", labels=0),
    "clip_classification": Case(
        "CLIPForImageClassification", towers(32, 2, 64, hidden_act="gelu"),
        old_file("CLIPFeatureExtractor", 33, crop_size=32, do_center_crop=True, resample=3, **OPENAI), raw=True),
}

def vitdet_widths(d, heads, blocks, image, windowed, window, **more):
    config = widths(d, heads, 0, blocks, image, pretrain_image_size=24, mlp_ratio=2, window_size=window,
                    window_block_indices=windowed, use_relative_position_embeddings=True, **more)
    return config


VITDET_CASES = {
    "vitdet_windows": Case(  # 5 x 5 tokens in windows of 3: padded; positions resized from 3 x 3
        "VitDetBackbone", vitdet_widths(32, 2, 4, 40, [0, 1, 3], 3), dict(size=square(40), **IMAGENET), labels=0),
    "vitdet_resized": Case(  # the table of distances goes from 4 x 4 tokens to 6 x 6
        "VitDetBackbone", vitdet_widths(24, 2, 3, 32, [1], 2), dict(size=square(48), **IMAGENET), labels=0),
    "vitdet_gathered": Case(  # the table of pairs goes from 6 x 6 tokens to 5 x 5
        "VitDetBackbone", vitdet_widths(32, 2, 2, 48, [0], 4, rel_pos_resize="gathered_bicubic"),
        dict(size=square(40), **IMAGENET), labels=0),
    "vitdet_bare": Case(  # no relative positions, no windows
        "VitDetBackbone", dict(vitdet_widths(24, 3, 2, 32, [], 0), use_relative_position_embeddings=False),
        dict(size=square(32), **IMAGENET), labels=0),
}

FACTORISED_CASES = {  # no class of transformers: the directory's form is Vidette's
    "vivit_fe": Case(
        "FactorisedVivit", dict(
            model_type="vivit_fe", image_size=32, num_frames=6, tubelet_size=[2, 8, 8], num_channels=3, hidden_size=32,
            num_attention_heads=2, intermediate_size=48, spatial_layers=2, temporal_layers=2, layer_norm_eps=1e-6,
            hidden_act="gelu"),
        dict(do_resize=True, size={"shortest_edge": 36}, do_center_crop=True, crop_size=square(32), resample=2,
             do_rescale=True, rescale_factor=1 / 255, do_normalize=True, image_mean=[0.45] * 3, image_std=[0.225] * 3,
             image_processor_type="VideoMAEImageProcessor"),
        frames=6, raw=True),
}

V5_CASES = {  # as transformers 5 writes them, in its own tensor names
    "v5_vit": Case("ViTForImageClassification", widths(32, 2, 64), EXACT, stream=0.01),
    "v5_vit_pooler": Case("ViTModel", widths(32, 4, 48), EXACT, labels=0),
    "v5_deit_with_teacher": Case(
        "DeiTForImageClassificationWithTeacher", widths(32, 2, 48), dict(size=square(36), crop_size=square(32))),
    "v5_vivit": Case(
        "VivitForVideoClassification", vivit_widths(32, 2, 48, image=24), SMALL, frames=4, size=(35, 47),
        saved_by="VivitVideoProcessor"),
    "v5_videomae": Case(
        "VideoMAEForVideoClassification", video_widths(32, 2, 48, image=24), dict(SMALL, **IMAGENET), frames=4,
        size=(47, 35), saved_by="VideoMAEVideoProcessor"),
    "v5_videomae_no_bias": Case(
        "VideoMAEForVideoClassification", video_widths(32, 4, 48, image=24, qv_bias=False), SMALL, frames=4,
        size=(35, 47), saved_by="VideoMAEVideoProcessor"),
    "v5_dinov2_swiglu": Case(
        "Dinov2Model", widths(32, 2, 0, image=56, mlp_ratio=2, use_swiglu_ffn=True), dict(CROPPED, **IMAGENET),
        labels=0),
    "v5_siglip_vision": Case("SiglipVisionModel", widths(32, 2, 48), EXACT, labels=0),
    "v5_clip_vision": Case("CLIPVisionModel", widths(32, 2, 48), CROPPED, labels=0),
    "v5_clip_full": Case("CLIPModel", dict(towers(32, 4, 48), projection_dim=16), CROPPED, nested=True, labels=0),
}
for case in V5_CASES.values():
    case.version = 5

CASES = {**VIDEOMAE_CASES, **VIVIT_CASES, **VIT_CASES, **DINOV2_CASES, **SIGLIP_CASES, **CLIP_CASES, **VITDET_CASES, **FACTORISED_CASES,
         **V5_CASES}


# ---- numbers ----------------------------------------------------------------------------------------

def generator(name, purpose):
    """A stream of numbers of its own for each case and purpose."""
    return np.random.default_rng(list(f"{purpose} of {name}".encode()))


def smooth_noise(rng, h, w, cells):
    coarse = rng.uniform(0, 255, (cells, cells, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((w, h), Image.BICUBIC), dtype=np.float64)


def source_frames(rng, t, h, w):
    """uint8 (t, h, w, 3): a smooth background, a little texture, and blobs that move over it."""
    background = 0.7 * smooth_noise(rng, h, w, 4) + 0.3 * smooth_noise(rng, h, w, 16)
    y, x = np.mgrid[0:h, 0:w]
    frames = np.repeat(background[None], t, axis=0)
    for _ in range(4):
        centre, velocity = rng.uniform(0, (h, w)), rng.normal(0, 4, 2)
        radius, colour = rng.uniform(3, 9), rng.uniform(-150, 150, 3)
        for i in range(t):
            cy, cx = centre + i * velocity
            frames[i] += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * radius ** 2))[..., None] * colour
    return np.clip(frames + rng.normal(0, 3, frames.shape), 0, 255).round().astype(np.uint8)


def draw(rng, name, shape):
    """New values for the parameter `name`, or None where it keeps its own."""
    def normal(std):
        return rng.normal(0, std, shape)

    if name.endswith("lambda1"):
        return rng.uniform(0.3, 1.5, shape)
    if any(part in name for part in ("position_embedding", "token", "probe", "class_embedding", "pos_embed")):
        return normal(0.4)
    if name.endswith("bias"):
        return normal(0.15)
    if len(shape) == 1 and name.endswith("weight"):
        return rng.uniform(0.8, 1.2, shape)
    if len(shape) >= 2:
        return normal(1 / np.sqrt(np.prod(shape[1:])))
    return None


WRITERS = (  # to the residual stream: embeddings, CLIP's first norm, the last layer of attention and MLP
    "patch_embed", "position_embedding", "pos_embed", "token", "class_embedding", "pre_layrnorm",
    "attention.output.dense", "attention.proj", "attn.proj", "out_proj", "o_proj", "output.dense", "mlp.fc2", "weights_out",
    "down_proj")


def enliven(model, rng, stream):
    for name, parameter in sorted(model.named_parameters()):
        values = draw(rng, name, tuple(parameter.shape))
        if values is not None:
            scale = stream if any(part in name for part in WRITERS) else 1.0
            parameter.data = torch.from_numpy(np.asarray(values) * scale).to(parameter.dtype)
    if stream != 1.0 and hasattr(model, "videomae"):
        centre_sinusoids(model.videomae.embeddings)


def centre_sinusoids(embeddings):
    """Sinusoids cannot be made smaller, but their mean over the tokens, which fc_norm sees, can go."""
    embeddings.patch_embeddings.projection.bias.data -= embeddings.position_embeddings[0].mean(0)


# ---- directories ------------------------------------------------------------------------------------

def label_fields(case):
    if not case.labels:
        return {}
    names = LABELS[:case.labels]
    return dict(id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})


def new_config(case):  # an intermediate_size of 0 stands for a config that has none
    model_class = getattr(transformers, case.model)
    fields = {key: value for key, value in case.config.items() if key != "intermediate_size" or value}
    return model_class.config_class(**fields, **label_fields(case))


def new_timm(config):
    from timm.models.vision_transformer import VisionTransformer
    return VisionTransformer(
        img_size=config["image_size"], patch_size=config["patch_size"], num_classes=len(LABELS),
        embed_dim=config["hidden_size"], depth=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"], mlp_ratio=config["intermediate_size"] / config["hidden_size"])


def save_timm(case, directory, rng):
    """timm's tensors beside a config in transformers' form; the config does not say timm's epsilon, 1e-6."""
    model = new_timm(case.config)
    enliven(model, rng, case.stream)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()},
              directory / "model.safetensors", metadata={"format": "pt"})
    config = dict(architectures=["ViTForImageClassification"], model_type="vit", hidden_act="gelu",
                  num_channels=3, qkv_bias=True, **case.config, **label_fields(case))
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def save_factorised(case, directory, rng):
    model = factorised.FactorisedVivit(case.config, case.labels)
    enliven(model, rng, case.stream)
    factorised.save_factorised(model, {**case.config, **label_fields(case)}, directory)


def save_model(case, directory, rng):
    if case.model == "timm":
        return save_timm(case, directory, rng)
    if case.model == "FactorisedVivit":
        return save_factorised(case, directory, rng)
    model = getattr(transformers, case.model)(new_config(case))
    enliven(model, rng, case.stream)
    more = dict(save_original_format=False) if case.version == 5 else {}
    model.to(getattr(torch, case.dtype)).save_pretrained(directory, max_shard_size=case.shard_size, **more)


def add_position_ids(directory):
    """The integer tensors that transformers wrote before 4.31, and that OpenAI's CLIP files still hold."""
    path = directory / "model.safetensors"
    tensors = load_file(path)
    for tower in ("text_model", "vision_model"):
        count = tensors[f"{tower}.embeddings.position_embedding.weight"].shape[0]
        tensors[f"{tower}.embeddings.position_ids"] = torch.arange(count)[None]
    save_file(tensors, path, metadata={"format": "pt"})


def save_inside_processor(case, directory, image_processor):
    """processor_config.json with a nested image processor; the tokenizer's own files are not kept."""
    before = set(directory.iterdir())
    tokenizer = transformers.CLIPTokenizer(vocab={"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}, merges=[])
    transformers.CLIPProcessor(image_processor, tokenizer).save_pretrained(directory)
    for path in set(directory.iterdir()) - before:
        if path.name != "processor_config.json":
            path.unlink()


def save_processor(case, directory):
    if case.raw:
        (directory / "preprocessor_config.json").write_text(json.dumps(case.fields, indent=2) + "\n")
        return
    processor = getattr(transformers, case.saved_by or case.processor)(**case.fields)
    if case.nested:
        save_inside_processor(case, directory, processor)
    else:
        processor.save_pretrained(directory)


def save_case(name, directory):
    case = CASES[name]
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    save_model(case, directory, generator(name, "weights"))
    if case.position_ids:
        add_position_ids(directory)
    save_processor(case, directory)


# ---- what is expected -------------------------------------------------------------------------------

def processor_fields(directory):
    for file, key in (("video_preprocessor_config.json", None), ("preprocessor_config.json", None),
                      ("processor_config.json", "image_processor")):
        if (directory / file).exists():
            fields = json.loads((directory / file).read_text())
            return fields[key] if key else fields
    raise FileNotFoundError(f"{directory}: no processor")


def make_pixels(name, directory):
    """Writes source.npy and the pixel values that the slow processor makes of it."""
    case = CASES[name]
    frames = source_frames(generator(name, "frames"), case.frames, *case.size)
    np.save(directory / "source.npy", frames)
    processor = getattr(transformers, case.processor).from_dict(processor_fields(directory))
    pixels = np.asarray(processor(list(frames), return_tensors="np")["pixel_values"], dtype=np.float32)
    pixels = pixels.reshape(-1, *pixels.shape[-3:])  # (T, 3, h, w)
    pixels = pixels if case.frames > 1 else pixels[0]
    save_file({"pixel_values": torch.from_numpy(pixels.copy())}, directory / "expected.safetensors")


def load_model(case, directory, dtype):
    if case.model == "FactorisedVivit":
        model = factorised.FactorisedVivit(case.config, case.labels)
        model.load_state_dict(load_file(directory / "model.safetensors"))
        return model.to(dtype).eval()
    if case.model == "timm":
        model = new_timm(case.config)
        model.load_state_dict(load_file(directory / "model.safetensors"))
        return model.to(dtype).eval()
    # Attention in plain Python computes its softmax in float32 whatever the dtype; this one does not.
    more = {} if case.model.startswith("VitDet") else dict(attn_implementation="sdpa")
    model, report = getattr(transformers, case.model).from_pretrained(
        directory, dtype=dtype, output_loading_info=True, **more)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        strange = [key for key in report[problem] if not key.endswith("position_ids")]
        if strange:
            raise RuntimeError(f"{directory.name}: {problem}: {strange}")
    return model.eval()


def find_tower(model):
    """The module that holds the embeddings and the blocks."""
    for name in ("vision_model", "videomae", "vivit", "vit", "deit", "dinov2", "dinov2_with_registers"):
        if hasattr(model, name):
            return getattr(model, name)
    return model


def find_blocks(tower):
    for holder in (tower, getattr(tower, "encoder", tower)):
        for name in ("blocks", "layer", "layers"):
            if hasattr(holder, name):
                return getattr(holder, name)
    raise AttributeError("no blocks")


def record_hidden(blocks, run):
    """Runs `run` and returns its result with the input of the first block and each block's output."""
    hidden = [None] * (len(blocks) + 1)

    def before(_, arguments, named):
        hidden[0] = arguments[0] if arguments else named["hidden_states"]

    def after(i):
        def hook(_, arguments, output):
            hidden[i + 1] = output[0] if isinstance(output, tuple) else output
        return hook

    hooks = [blocks[0].register_forward_pre_hook(before, with_kwargs=True)]
    hooks += [block.register_forward_hook(after(i)) for i, block in enumerate(blocks)]
    result = run()
    for hook in hooks:
        hook.remove()
    return result, [tensor[0] for tensor in hidden]


def classifier_input(model, run):
    """What enters model.classifier, (D)."""
    seen = []
    hook = model.classifier.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0][0]))
    run()
    hook.remove()
    return seen[0]


def read_head(model, tower_output, run):
    """The model's own pooled output (D'), None where it has none."""
    last, pooled = tower_output.last_hidden_state, getattr(tower_output, "pooler_output", None)
    if model.config.model_type == "videomae":
        return classifier_input(model, run) if hasattr(model, "classifier") else None
    if hasattr(model, "visual_projection"):
        return model.visual_projection(pooled)[0]
    return pooled[0] if pooled is not None else last[0, 0]


def run_timm(model, pixels):
    last, hidden = record_hidden(model.blocks, lambda: model.forward_features(pixels))
    return hidden, {"last": last[0], "head": last[0, 0], "logits": model(pixels)[0]}


def gathered_positions(q_size, k_size, table):
    """The published Eventful models' way to another size: the table of all pairs is resized, bicubically."""
    side = (table.shape[0] + 1) // 2
    distance = torch.arange(side)[:, None] - torch.arange(side)[None, :] + side - 1
    pairs = table[distance].permute(2, 0, 1)[None]
    if (q_size, k_size) != (side, side):
        pairs = torch.nn.functional.interpolate(pairs, (q_size, k_size), mode="bicubic", align_corners=False)
    return pairs[0].permute(1, 2, 0)


def run_factorised(model, pixels):
    _, head, logits = model(pixels)
    return [], {"head": head[0], "logits": logits[0]}


def run_vitdet(model, pixels):
    from transformers.models.vitdet import modeling_vitdet
    original = modeling_vitdet.get_rel_pos
    if getattr(model.config, "rel_pos_resize", "linear") == "gathered_bicubic":
        modeling_vitdet.get_rel_pos = gathered_positions
    output, hidden = record_hidden(model.encoder.layer, lambda: model(pixels))
    modeling_vitdet.get_rel_pos = original
    hidden = [tensor.flatten(1).T for tensor in hidden]  # (D, h, w) to (N, D)
    return hidden, {"last": output.feature_maps[-1][0].flatten(1).T}


def run_transformers(model, pixels):
    tower = find_tower(model)
    config = getattr(model.config, "vision_config", model.config)
    side = config.image_size if isinstance(config.image_size, (list, tuple)) else [config.image_size] * 2
    asked_for = not model.config.model_type.startswith("dinov2")  # which does it by itself
    resized = asked_for and list(pixels.shape[-2:]) != list(side)
    more = dict(interpolate_pos_encoding=True) if resized else {}
    output, hidden = record_hidden(find_blocks(tower), lambda: tower(pixels, **more))
    tensors = {"last": output.last_hidden_state[0]}
    head = read_head(model, output, lambda: model(pixels, **more))
    if head is not None:
        tensors["head"] = head
    if any(hasattr(model, name) for name in ("classifier", "cls_classifier")):
        tensors["logits"] = model(pixels, **more).logits[0]
    return hidden, tensors


@torch.no_grad()
def run_model(case, directory, pixels, dtype):
    model = load_model(case, directory, dtype)
    run = {"timm": run_timm, "VitDetBackbone": run_vitdet, "FactorisedVivit": run_factorised}.get(case.model, run_transformers)
    hidden, tensors = run(model, torch.from_numpy(pixels).to(dtype)[None])
    return {**{f"hidden.{i}": tensor for i, tensor in enumerate(hidden)}, **tensors}


def relative_error(a, b):
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


def make_expected(name, directory):
    """Completes expected.safetensors; returns the disagreement of float32 and float64."""
    case = CASES[name]
    with safe_open(directory / "expected.safetensors", "np") as file:
        pixels = file.get_tensor("pixel_values")
    single, double = (run_model(case, directory, pixels, dtype) for dtype in (torch.float32, torch.float64))
    errors = {key: relative_error(single[key], double[key]) for key in double}
    worst = max(errors, key=errors.get)
    if not errors[worst] <= AGREEMENT:
        raise RuntimeError(f"{name}: {worst}: float32 and float64 differ by {errors[worst]:.1e}")
    tensors = {key: tensor.float().contiguous().clone() for key, tensor in double.items()}
    save_file({"pixel_values": torch.from_numpy(pixels), **tensors}, directory / "expected.safetensors")
    return errors[worst], tensors


# ---- all of it --------------------------------------------------------------------------------------

def describe(name, directory, error, tensors):
    size = sum(path.stat().st_size for path in directory.iterdir())
    hidden = [key for key in tensors if key.startswith("hidden.")]
    spread = f"logits {tensors['logits'].std():.2f}" if "logits" in tensors else ""
    n, d = tensors["last"].shape if "last" in tensors else (0, len(tensors["head"]))
    print(f"{name:26} {size / 1024:6.0f} KB  N {n:3} D {d:3} "
          f"L {len(hidden) - 1}  f32-f64 {error:.1e}  {spread}", flush=True)


def run_stage(stage, names, out):
    for name in names:
        directory = out / name
        if stage == "save":
            save_case(name, directory)
        elif stage == "pixels":
            make_pixels(name, directory)
        else:
            describe(name, directory, *make_expected(name, directory))


def run_stage_elsewhere(stage, names, out, transformers5):
    """The same stage in a process that sees transformers 5."""
    environment = dict(os.environ, PYTHONPATH=str(transformers5))
    command = [sys.executable, __file__, "--out", out, "--stage", stage, *names]
    subprocess.run(command, env=environment, check=True)


def make_cases(names, out, transformers5):
    old = [name for name in names if CASES[name].version == 4]
    new = [name for name in names if CASES[name].version == 5]
    for stage in ("save", "pixels", "expected"):
        run_stage(stage, old, out)
    if new and not transformers5:
        print(f"left as they are, for want of --transformers5: {', '.join(new)}")
    elif new:
        run_stage_elsewhere("save", new, out, transformers5)
        run_stage("pixels", new, out)
        run_stage_elsewhere("expected", new, out, transformers5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="cases to make; default: all")
    parser.add_argument("--out", type=Path, default=GOLDEN, help="default: tests/golden")
    parser.add_argument("--transformers5", type=Path, help="folder that holds transformers 5")
    parser.add_argument("--stage", choices=["save", "pixels", "expected"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    names = arguments.cases or list(CASES)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if arguments.stage:
        run_stage(arguments.stage, names, arguments.out)
    else:
        make_cases(names, arguments.out, arguments.transformers5)


if __name__ == "__main__":
    main()
