"""Writes files of weights as the usual libraries save them, and what those libraries compute with them.

    python networks.py FOLDER

Weights are random, names and containers are those of the official files: `dino.pth` (timm's ViT-S/8, the container before PyTorch 1.6),
`mae.pth` (MAE ViT-L/16 of timm's blocks, under the key `model`), `lite0.safetensors` (timm's tf_efficientnet_lite0). `expected.json`
holds figures of the outputs for one picture. Needs torch, timm, safetensors; 1.5 GB of disk, 4 GB of memory.
"""

import functools
import json
import pathlib
import sys

import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import Block
from torch import nn

SIDE = 224


def picture():
    """The same formula as in the specs: one term per column, one per row, each with a phase per channel."""
    place, channel = torch.arange(SIDE, dtype=torch.float64), torch.arange(3, dtype=torch.float64)[:, None]
    right = torch.sin(0.07 * place + 0.4 * channel)[:, None, :]
    down = torch.cos(0.03 * place - 0.2 * channel)[:, :, None]
    return (right * down)[None].float()


def figures(y):
    """Of a map [channel, height, width]: mean, mean square, sums with waves along each axis, single values."""
    y = y.double()
    waves = [torch.sin((1 + axis) * 0.3 * torch.arange(size, dtype=torch.float64) + 0.5) for axis, size in enumerate(y.shape)]
    mixed = [y.mean(dim=[d for d in range(3) if d != axis]) * wave for axis, wave in enumerate(waves)]
    return {
        "mean": y.mean(), "square": y.square().mean(), "channels": mixed[0].mean(), "rows": mixed[1].mean(), "columns": mixed[2].mean(),
        "all": (y * waves[0][:, None, None] * waves[1][:, None] * waves[2]).mean(), "first": y[0, 0, 0], "last": y[-1, -1, -1],
    }


def randomised(model):
    """Every tensor random, so that nothing may be left out; norms near one, as after training."""
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        noise = torch.randn_like(tensor)
        if name.endswith("running_var"):
            tensor.copy_(1 + 0.2 * noise.abs())
        elif name.endswith("weight") and tensor.dim() == 1:
            tensor.copy_(1 + 0.1 * noise)
        elif tensor.dim() > 1 and not name.endswith(("embed", "token")):
            tensor.copy_(noise / (tensor[0].numel() ** 0.5))
        else:
            tensor.copy_(0.1 * noise)
    return model.eval()


def as_map(tokens, side):
    return tokens[0, 1:].T.reshape(-1, side, side)


def dino(folder):
    model = randomised(timm.create_model("vit_small_patch8_224", num_classes=0))
    torch.save(model.state_dict(), folder / "dino.pth", _use_new_zipfile_serialization=False)
    x = model._pos_embed(model.patch_embed(picture()))
    for block in model.blocks[:11]:
        x = block(x)
    return {"parameters": sum(p.numel() for p in model.parameters()), **figures(as_map(x, SIDE // 8))}


def places(side, features):
    """Fixed sines: of the column, then of the row; zeros for the first token."""
    frequency = 10000 ** (-torch.arange(features // 4, dtype=torch.float64) / (features // 4))
    angle = torch.arange(side, dtype=torch.float64)[:, None] * frequency
    own = torch.cat([angle.sin(), angle.cos()], dim=1)
    columns, rows = own[None].expand(side, -1, -1), own[:, None].expand(-1, side, -1)
    table = torch.cat([columns, rows], dim=2).reshape(side * side, features)
    return torch.cat([torch.zeros(1, features), table.float()])[None]


class Mae(nn.Module):
    """ViT-L/16 with a decoder of eight blocks; parameters are named as in the published checkpoints."""

    def __init__(self, side=14):
        super().__init__()
        norm = {"norm_layer": functools.partial(nn.LayerNorm, eps=1e-6), "qkv_bias": True}
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, 1024, 16, stride=16)
        self.cls_token, self.mask_token = nn.Parameter(torch.zeros(1, 1, 1024)), nn.Parameter(torch.zeros(1, 1, 512))
        self.pos_embed = nn.Parameter(places(side, 1024), requires_grad=False)
        self.decoder_pos_embed = nn.Parameter(places(side, 512), requires_grad=False)
        self.blocks = nn.ModuleList(Block(1024, 16, **norm) for _ in range(24))
        self.norm = nn.LayerNorm(1024, eps=1e-6)
        self.decoder_embed = nn.Linear(1024, 512)
        self.decoder_blocks = nn.ModuleList(Block(512, 16, **norm) for _ in range(8))
        self.decoder_norm = nn.LayerNorm(512, eps=1e-6)
        self.decoder_pred = nn.Linear(512, 16 * 16 * 3)

    def forward(self, x, keep):
        """`keep` [196]: how much of each token stays; the rest becomes the mask token (MOVE's soft masking)."""
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        x = torch.cat([self.cls_token + self.pos_embed[:, :1], x], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.decoder_embed(self.norm(x))
        kept = keep[None, :, None] * x[:, 1:] + (1 - keep[None, :, None]) * self.mask_token
        x = torch.cat([x[:, :1], kept], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        x = self.decoder_pred(self.decoder_norm(x))[:, 1:].reshape(14, 14, 16, 16, 3)
        return x.permute(4, 0, 2, 1, 3).reshape(3, SIDE, SIDE)


def mae(folder):
    model = Mae()
    tables = model.pos_embed.clone(), model.decoder_pos_embed.clone()
    randomised(model)
    model.pos_embed.copy_(tables[0])
    model.decoder_pos_embed.copy_(tables[1])
    torch.save({"model": model.state_dict()}, folder / "mae.pth")
    place = torch.arange(14, dtype=torch.float64)
    keep = (0.5 + 0.5 * torch.sin(0.9 * place)[None] * torch.cos(0.5 * place)[:, None]).float().flatten()
    return {"parameters": sum(p.numel() for p in model.parameters()), **figures(model(picture(), keep))}


def lite0(folder):
    whole = randomised(timm.create_model("tf_efficientnet_lite0"))
    save_file(whole.state_dict(), folder / "lite0.safetensors")
    taps = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3, 4))
    taps.load_state_dict({name: value for name, value in whole.state_dict().items() if name in taps.state_dict()})
    found = {"parameters": sum(p.numel() for p in taps.parameters())}
    for number, tap in enumerate(taps.eval()(picture())):
        found |= {f"{name}_{number}": value for name, value in figures(tap[0]).items()}
    return found


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    expected = {make.__name__: {name: float(value) for name, value in make(folder).items()} for make in (dino, mae, lite0)}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1))


if __name__ == "__main__":
    main()
