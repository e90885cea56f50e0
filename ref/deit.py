"""DeiT (Touvron et al. 2021): ViT with a distillation token after the class token. With a teacher there
are two classifiers, one on each token, and their logits are averaged."""
import numpy as np

from encoder import Tensors, linear, read_config
from processor import pixel_values
from vit import encode, read_pooled


def classify(tensors, last):
    if tensors.has("distillation_classifier.weight"):
        by_class = linear(last[0], tensors.linear("cls_classifier"))
        by_distillation = linear(last[1], tensors.linear("distillation_classifier"))
        return (by_class + by_distillation) / 2
    return linear(last[0], tensors.linear("classifier"))


def run(directory, frames):
    config, tensors = read_config(directory), Tensors(directory, "deit.")
    pixels = pixel_values(directory, frames, "DeiT")
    names = ("embeddings.cls_token", "embeddings.distillation_token")
    prefix = np.concatenate([tensors.need(name)[0] for name in names])  # (2, D)
    hidden, last = encode(tensors, config, pixels.astype(np.float64), prefix)
    results = {"pixel_values": pixels[0], **hidden, "last": last, "head": read_pooled(tensors, last)}
    if tensors.has("classifier.weight", "cls_classifier.weight"):
        results["logits"] = classify(tensors, last)
    return results
