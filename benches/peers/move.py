"""W5 of `segc bench` in PyTorch: MOVE's segmenter learns over frozen features of a ViT-S/8, as in benches/move.seg.

`twins.py` uses it; on standard input both are one script, so their names differ.
"""

import torch
import torch.nn.functional as F
from torch import nn

class TokenAttention(nn.Module):
    def __init__(self, features, heads):
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(features, 3 * features), nn.Linear(features, features), heads

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

class Block(nn.Module):
    def __init__(self, features, heads):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(features, eps=1e-6), nn.LayerNorm(features, eps=1e-6)
        self.attend = TokenAttention(features, heads)
        self.dense = nn.Sequential(nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, features))

    def forward(self, x):
        x = x + self.attend(self.norm_1(x))
        return x + self.dense(self.norm_2(x))

class Features(nn.Module):
    """The map after so many blocks of a vision transformer."""

    def __init__(self, side, patch=8, features=384, heads=6, depth=11):
        super().__init__()
        self.patches = nn.Conv2d(3, features, patch, stride=patch)
        self.first = nn.Parameter(torch.randn(1, 1, features) * 0.02)
        self.position = nn.Parameter(torch.randn(1, 1 + (side // patch) ** 2, features) * 0.02)
        self.blocks = nn.Sequential(*[Block(features, heads) for _ in range(depth)])

    def forward(self, x):
        y = self.patches(x)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), y.flatten(2).transpose(1, 2)], dim=1)
        return self.blocks(tokens + self.position)[:, 1:].transpose(1, 2).unflatten(2, y.shape[2:])

class Head(nn.Module):
    """A trainable layer norm, three doublings, one more convolution, a logit."""

    def __init__(self, channels=384, least=128):
        super().__init__()
        self.norm, layers = nn.LayerNorm(channels, eps=1e-6), []
        for k in range(4):
            out = max(least, channels // 2 ** (k + 1))
            before = layers[-2].num_features if layers else channels
            layers += [nn.Upsample(scale_factor=2)] * (k < 3)
            layers += [nn.Conv2d(before, out, 3, padding=1), nn.BatchNorm2d(out), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(out, 1, 1))

    def forward(self, x):
        return self.layers(self.norm(x.movedim(1, 3)).movedim(3, 1))

def plain_critic(base=32, halved=5):
    widths, layers = [3, *(base * 2**k for k in range(halved))], []
    for before, out in zip(widths, widths[1:]):
        layers += [nn.Conv2d(before, out, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

def translated(x, right, down):
    """By whole pixels, zeros come in."""
    rows = []
    for one, i, j in zip(x, down.tolist(), right.tolist()):
        rows.append(F.pad(one, (j, -j, i, -i)))
    return torch.stack(rows)

class Move:
    def __init__(self, wrap, side=224, batch=2, reach=1 / 8):
        self.dino, self.critic, self.head = Features(side).eval(), plain_critic(), Head()
        self.dino.requires_grad_(False)
        self.critic.requires_grad_(False)
        self.images, self.side, self.reach = torch.rand(4, batch, 3, side, side) * 2 - 1, side, reach
        self.adam = torch.optim.AdamW(self.head.parameters(), lr=2e-4, betas=(0.9, 0.95), weight_decay=0)
        self.features, self.segment, self.critic = wrap(self.dino), wrap(self.head), wrap(self.critic)

    def loss(self, x):
        with torch.no_grad():
            seen = self.features(x)
        mask = torch.sigmoid(self.segment(seen))
        right, down = ((torch.rand(2, len(x), device=x.device) * 2 - 1) * self.reach * self.side).round().int()
        layer = translated(torch.cat([x, mask], dim=1), right, down)
        back, front, m = x.mean(dim=(2, 3), keepdim=True), layer[:, :3], layer[:, 3:]
        maps = [m, F.avg_pool2d(m, 16), F.max_pool2d(m, 16)]
        small = sum(F.relu(0.05 - k.mean(dim=(1, 2, 3))).mean() for k in maps)
        undecided = sum(torch.minimum(k, 1 - k).mean() for k in maps)
        return -self.critic(back + m * (front - back)).mean() + 100 * small + 12.5 * undecided

    def __call__(self, index):
        self.adam.zero_grad(set_to_none=True)
        self.loss(self.images[index % 4]).backward()
        self.adam.step()
