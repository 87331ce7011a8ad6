"""The mask network that ReDO and IEM's second stage share: halved twice, residual blocks, pyramid pooling, and back."""

import torch
import torch.nn.functional as F


def pyramid(given, name, x):
    """Logits of one region."""

    def conv(path, x, bias=True, **options):
        return F.conv2d(x, given.w(f"{name}.{path}.w"), given.w(f"{name}.{path}.b") if bias else None, **options)

    def normed(path, x):
        gain, bias = (given.w(f"{name}.{path}.each.{which}")[:, None, None] for which in ("gain", "bias"))
        return gain * F.instance_norm(x, eps=1e-5) + bias

    def up(x):
        return F.interpolate(x, scale_factor=2, mode="nearest")

    def edged(x):
        return F.pad(x, (3, 3, 3, 3), mode="reflect")

    h = F.relu(normed("norm_1", conv("stem", edged(x), bias=False)))
    h = F.relu(normed("norm_2", conv("half", h, bias=False, stride=2, padding=1)))
    h = F.relu(normed("norm_3", conv("quarter", h, bias=False, stride=2, padding=1)))
    for k in range(3):
        path = f"block.{k}"
        y = F.relu(normed(path + ".norm_1", conv(path + ".conv_1", h, bias=False, padding=1)))
        h = F.relu(normed(path + ".norm_2", h + conv(path + ".conv_2", y, padding=1)))
    size = h.shape[-1]
    seen = [h]
    for k, bins in enumerate((1, 2, 3, 6)):
        pooled = F.avg_pool2d(h, max(1, size // bins))
        seen.append(F.interpolate(conv(f"branch.{k}", pooled), size=(size, size), mode="bilinear", align_corners=False))
    h = torch.cat(seen, 1)
    h = F.relu(normed("norm_4", conv("double", up(h), bias=False, padding=1)))
    h = F.relu(normed("norm_5", conv("whole", up(h), bias=False, padding=1)))
    return conv("last", edged(h))
