"""The workloads of `segc bench` in PyTorch, as a peer to measure against: the same networks, losses and optimisers, ordinary code.
    python twins.py WORKLOAD [--steps 16] [--warm 8] [--threads 2] [--compile] [--mode MODE] [--device cuda] [--precision f32|tf32|bf16]
    W1  IEM, 32 images of 128 x 128, one round          (specs/iem.seg, the constants of +paper)
    W2  PerturbGAN as it is, 32 x 32, batch 16          (specs/perturbgan.seg)
    W3  PerturbGAN's published nets, 64 x 64, batch 4   (specs/perturbgan.seg +paper, while 64 pixels fade in)
    W4  ReDO's published nets, 128 x 128, batch 2       (specs/redo.seg +flowers)
    W5  MOVE's segmenter, 224 x 224, batch 2            (benches/move.seg; networks in move.py)
    W6  a U-Net segmenter, 64 x 64, batch 16            (benches/unet.seg)
    W7  convolutions with both gradients, twenty shapes
    W8  element-wise chains, norms and Adam's arithmetic
    ceiling  a large product of matrices and a large copy: what the device reaches at most

Without `--device` everything is f32 on the processor. On a card, f32 is strict (TF32 is off for products and convolutions), tf32 allows it
for both, bf16 is autocast over whole steps with weights in f32; the clock is read when the card has done all that it was given.
Images are random and lie in memory; first values are PyTorch's own. W1 to W6 time `--steps` steps after
`--warm` others; W7, W8 and ceiling time each case at least three times and for 0.3 s, and their `ms` is the sum over the cases. Prints one
line of JSON: workload, torch, compiled (false, or the mode), device, precision, ms (mean of a step), cases, mb (peak resident memory),
device_mb (peak of what tensors take on the card), first_ms (from the beginning of building to the end of the first step). Where
torch.compile fails there is `error` instead of the numbers.
"""

import argparse
import contextlib
import functools
import itertools
import json
import random
import resource
import time

import torch
import torch.nn.functional as F
from torch import nn

with contextlib.suppress(ImportError):  # on standard input that script stands before this one
    from move import Move

PLACE = {}  # where tensors are made that a step draws; models are made there as a whole

lrelu = functools.partial(F.leaky_relu, negative_slope=0.2)
grow = functools.partial(F.interpolate, scale_factor=2, mode="nearest")

def pixel_norm(x):
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)

def images(batch, side):
    return torch.rand(4, batch, 3, side, side) * 2 - 1

class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)

class Join(nn.Module):
    """Two ways that meet."""

    def __init__(self, one, other, how=torch.add):
        super().__init__()
        self.one, self.other, self.how = nn.Sequential(*one), nn.Sequential(*other), how

    def forward(self, x):
        return self.how(self.one(x), self.other(x))

class Modulated(nn.Module):
    """Instance norm whose scale and offset come from a style."""

    def __init__(self, channels, latent, dense=nn.Linear):
        super().__init__()
        self.gain, self.shift = dense(latent, channels), dense(latent, channels)

    def forward(self, x, style):
        return self.gain(style)[:, :, None, None] * F.instance_norm(x, eps=1e-5) + self.shift(style)[:, :, None, None]

def update(optimiser, loss):
    """One step by the optimiser's own parameters; nothing else gets a gradient, images of a penalty included."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward(inputs=[weight for group in optimiser.param_groups for weight in group["params"]])
    optimiser.step()

# ---- W1: IEM. The loop of `iem.py`, one round after the other on the same images.
SIGMA, TAPS, PASSES, LAMBDA = 5.0, 11, 2, 1e-3

class Iem:
    def __init__(self, wrap, side=128, batch=32, square=78):
        offsets = torch.arange(TAPS, dtype=torch.float32) - TAPS // 2
        taps = torch.exp(-offsets.square() / (2 * SIGMA * SIGMA))
        taps = (taps / taps.sum()).repeat(4, 1)
        self.kernels = taps.view(4, 1, TAPS, 1), taps.view(4, 1, 1, TAPS)
        self.image = images(batch, side)[0]
        margin = (side - square) // 2
        self.mask = F.pad(torch.ones(batch, 1, square, square), (margin, margin, margin, margin))
        self.objective, self.moved = wrap(self.objective), wrap(self.moved)

    def inpaint(self, visible):
        """Colours guessed from where `visible` is one; far from there, their mean colour."""
        stack = torch.cat([self.image * visible, visible], dim=1)
        floor = 1e-8 * stack.sum(dim=(2, 3), keepdim=True)
        for _ in range(PASSES):
            for kernel in self.kernels:
                stack = F.conv2d(stack, kernel, padding=(kernel.shape[2] // 2, kernel.shape[3] // 2), groups=4)
        stack = stack + floor
        return stack[:, :3] / stack[:, 3:]

    def gain(self, region):
        """How badly a region is guessed from its complement, less how far its colours are from their mean."""
        area = region.sum(dim=(2, 3), keepdim=True)
        error = (self.image - self.inpaint(1 - region)).abs().mean(dim=1, keepdim=True)
        mean = (region * self.image).sum(dim=(2, 3), keepdim=True) / area
        return ((region * error).sum(dim=(2, 3), keepdim=True) / area).sum() - LAMBDA * (region * (self.image - mean).square()).sum()

    def objective(self, mask):
        return self.gain(mask) + self.gain(1 - mask)

    def edge(self, inside):
        padded = F.pad(inside, (1, 1, 1, 1))
        around = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1] + padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:]
        return (4 * inside - around) >= 0.5

    def moved(self, mask, uphill):
        """The sign of the gradient on the boundary, then the majority among nine pixels."""
        free = (self.edge(mask) | self.edge(1 - mask)) & (uphill != 0)
        mask = torch.where(free, (uphill > 0).float(), mask)
        return (F.avg_pool2d(mask, 3, stride=1, padding=1) * 9 >= 3.5).float()

    def __call__(self, index):
        mask = self.mask.requires_grad_(True)
        (uphill,) = torch.autograd.grad(self.objective(mask), mask)
        with torch.no_grad():
            self.mask = self.moved(mask.detach(), uphill)

# ---- W2: PerturbGAN's compact networks. Widths are those at 4, 8, 16 and 32 pixels.
COMPACT = (96, 64, 32, 16)

def conv(channels, out, kernel=3, bias=True):
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=bias)

class CompactStyleBlock(nn.Module):
    def __init__(self, channels, out, latent, up):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2) if up else nn.Identity()
        self.conv = conv(channels, out)
        self.gain, self.shift = nn.Linear(latent, out), nn.Linear(latent, out)

    def forward(self, x, style):
        y = pixel_norm(lrelu(self.conv(self.up(x))))
        return y * (1 + self.gain(style)[:, :, None, None]) + self.shift(style)[:, :, None, None]

class CompactGenerator(nn.Module):
    """One style for all resolutions, since no styles are mixed."""

    def __init__(self, channels, latent=64):
        super().__init__()
        layers = [layer for _ in range(2) for layer in (nn.Linear(latent, latent), nn.LeakyReLU(0.2))]
        self.mapping = nn.Sequential(Apply(pixel_norm), *layers)
        self.stem = nn.Sequential(nn.Linear(latent, COMPACT[0] * 16), nn.Unflatten(1, (COMPACT[0], 4, 4)))
        blocks = [CompactStyleBlock(a, b, latent, up=True) for a, b in zip(COMPACT, COMPACT[1:])]
        self.blocks = nn.ModuleList([CompactStyleBlock(COMPACT[0], COMPACT[0], latent, up=False), *blocks])
        self.painter = conv(COMPACT[-1], channels)

    def forward(self, z):
        style = self.mapping(z)
        h = self.stem(style)
        for block in self.blocks:
            h = block(h, style)
        return self.painter(h)

def batch_deviation(x, group):
    """How much groups of samples vary, one number per sample, as a further channel."""
    n, _, height, width = x.shape
    groups = x.view(group, n // group, *x.shape[1:])
    deviation = (groups.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return torch.cat([x, deviation.repeat(group).view(n, 1, 1, 1).expand(n, 1, height, width)], dim=1)

def compact_critic():
    layers = [conv(3, COMPACT[-1])]
    for a, b in zip(COMPACT[:0:-1], COMPACT[-2::-1]):
        body = [nn.LeakyReLU(0.2), conv(a, a), nn.LeakyReLU(0.2), conv(a, b), nn.AvgPool2d(2)]
        layers.append(Join(body, [nn.AvgPool2d(2), conv(a, b, 1, bias=False)], lambda y, around: (y + around) * 0.5**0.5))
    layers += [Apply(lambda x: batch_deviation(x, group=8)), nn.LeakyReLU(0.2), conv(b + 1, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(b * 16, 1), nn.Flatten(0))

# ---- W3: StyleGAN's networks as PerturbGAN has them, at 4 to 64 pixels. While the last side fades in, the layers that paint and see
# pictures of half the side are there too.
STYLE = (512, 512, 512, 512, 256)
FADE = 0.5
BLUR = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16

class Equal(nn.Module):
    """A dense layer or a convolution whose weights have deviation one and are multiplied when used."""

    def __init__(self, inputs, out, kernel=None, padding=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, inputs, kernel, kernel) if kernel else torch.randn(out, inputs))
        self.bias = nn.Parameter(torch.zeros(out))
        self.scale = (2 / self.weight[0].numel()) ** 0.5
        self.padding = kernel // 2 if kernel and padding is None else padding

    def forward(self, x):
        weight = self.weight * self.scale
        return F.linear(x, weight, self.bias) if weight.dim() == 2 else F.conv2d(x, weight, self.bias, padding=self.padding)

def blurred(x):
    return F.conv2d(x, BLUR.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])

class StyleBlock(nn.Module):
    """One map of noise for both convolutions; the first block has the second half only."""

    def __init__(self, channels, out, latent, up):
        super().__init__()
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), Equal(channels, out, 3), Apply(blurred)) if up else nn.Identity()
        self.conv = Equal(out, out, 3)
        self.noises = nn.Parameter(torch.zeros(2, out, 1, 1))
        self.adain_1, self.adain_2 = Modulated(out, latent, Equal), Modulated(out, latent, Equal)

    def forward(self, x, style):
        x = self.up(x)
        gains, noise = self.noises * (2 / x.shape[1]) ** 0.5, torch.randn(len(x), 1, *x.shape[2:], device=x.device)
        x = self.adain_1(lrelu(x + gains[0] * noise), style)
        return self.adain_2(lrelu(self.conv(x) + gains[1] * noise), style)

class StyleGenerator(nn.Module):
    def __init__(self, channels, latent=512):
        super().__init__()
        layers = [layer for _ in range(8) for layer in (Equal(latent, latent), nn.LeakyReLU(0.2))]
        self.mapping = nn.Sequential(Apply(pixel_norm), *layers)
        self.start = nn.Parameter(torch.randn(STYLE[0], 4, 4))
        blocks = [StyleBlock(a, b, latent, up=True) for a, b in zip(STYLE, STYLE[1:])]
        self.blocks = nn.ModuleList([StyleBlock(STYLE[0], STYLE[0], latent, up=False), *blocks])
        self.old_painter, self.painter = Equal(STYLE[-2], channels, 1), Equal(STYLE[-1], channels, 1)

    def forward(self, z, second):
        first_style, second_style = self.mapping(z), self.mapping(second)
        cut = torch.randint(0, len(self.blocks) - 1, (), device=z.device)
        h = self.start.expand(len(z), -1, -1, -1)
        for level, block in enumerate(self.blocks):
            before, h = h, block(h, torch.where(level <= cut, first_style, second_style))
        return torch.lerp(grow(self.old_painter(before)), self.painter(h), FADE)

def style_critic():
    widths, wide = STYLE[::-1], STYLE[0]
    inputs = [[Equal(3, width, 1), nn.LeakyReLU(0.2)] for width in widths[:2]]
    blocks = [
        nn.Sequential(Equal(a, b, 3), nn.LeakyReLU(0.2), Apply(blurred), Equal(b, b, 3), nn.AvgPool2d(2), nn.LeakyReLU(0.2))
        for a, b in zip(widths, widths[1:])
    ]
    return nn.Sequential(
        Join([nn.AvgPool2d(2), *inputs[1]], [*inputs[0], blocks[0]], lambda old, new: torch.lerp(old, new, FADE)), *blocks[1:],
        Apply(lambda x: batch_deviation(x, group=len(x))), Equal(wide + 1, wide, 3), nn.LeakyReLU(0.2),
        Equal(wide, wide, 4, padding=0), nn.LeakyReLU(0.2), nn.Flatten(), Equal(wide, 1), nn.Flatten(0),
    )  # fmt: skip

# ---- W2 and W3: PerturbGAN
def shifted(x, right, down, reach):
    """Every sample moved by whole pixels of its own, at most `reach`; zeros come in."""
    n, channels, height, width = x.shape
    rows = torch.arange(height, device=x.device) - down[:, None] + reach
    columns = torch.arange(width, device=x.device) - right[:, None] + reach
    places = rows[:, :, None] * (width + 2 * reach) + columns[:, None, :]
    padded = F.pad(x, (reach, reach, reach, reach)).flatten(2)
    return padded.gather(2, places.view(n, 1, -1).expand(-1, channels, -1)).view_as(x)

class PerturbGan:
    def __init__(self, wrap, actor, backdrop, critic, side, batch, latent, least):
        self.actor, self.backdrop, self.critic = actor, backdrop, critic
        self.batch, self.latent, self.least, self.reach, self.images = batch, latent, least, side // 8, images(batch, side)
        mapping = [*actor.mapping.parameters(), *backdrop.mapping.parameters()]
        slow = {id(weight) for weight in mapping}
        self.weights = [*actor.parameters(), *backdrop.parameters()]
        self.averages = [weight.detach().clone() for weight in self.weights]
        groups = [{"params": [weight for weight in self.weights if id(weight) not in slow]}, {"params": mapping, "lr": 1e-5}]
        self.generator_adam = torch.optim.Adam(groups, lr=1e-3, betas=(0.0, 0.99))
        self.critic_adam = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.99))
        self.paint, self.generator_loss, self.adversary = wrap(self.fake), wrap(self.generator_loss), wrap(self.adversary)

    def latents(self):
        return torch.randn(2, self.batch, self.latent, **PLACE)

    def draws(self):
        right, down = ((torch.rand(2, self.batch, **PLACE) * 2 - 1) * self.reach).round().long()
        return *self.latents(), right, down

    def fake(self, z, other, right, down):
        back, front, mask = self.layers(z, other)
        front, mask = shifted(torch.cat([front, mask], dim=1), right, down, self.reach).split((3, 1), dim=1)
        return torch.lerp(back, front, mask), mask

    def generator_loss(self, *draws):
        fake, mask = self.fake(*draws)
        too_small = F.relu(self.least - mask.mean(dim=(1, 2, 3))).mean()
        undecided = torch.minimum(mask, 1 - mask).mean()
        return self.fool(self.critic(fake)).mean() + 2 * too_small + 2 * undecided

    def slope(self, x):
        """Without torch.compile, which has no second derivatives."""
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self.critic(x).sum(), x, create_graph=True)[0].flatten(1)

    def __call__(self, index):
        with torch.no_grad():
            fake, _ = self.paint(*self.draws())
        self.critic.requires_grad_(True)
        self.train_critic(index, fake)
        self.critic.requires_grad_(False)
        update(self.generator_adam, self.generator_loss(*self.draws()))
        decay = min(0.999, (index + 1) / (index + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.weights, 1 - decay)

class Compact(PerturbGan):
    """A latent of its own for each layer, softplus losses, R1 in every eighth step."""

    fool = staticmethod(lambda score: F.softplus(-score))

    def __init__(self, wrap):
        super().__init__(wrap, CompactGenerator(4), CompactGenerator(3), compact_critic(), side=32, batch=16, latent=64, least=0.15)

    def layers(self, z, z_back):
        front, mask = self.actor(z).split((3, 1), dim=1)
        return torch.tanh(self.backdrop(z_back)), torch.tanh(front), torch.sigmoid(mask)

    def adversary(self, real, fake):
        return F.softplus(-self.critic(real)).mean() + F.softplus(self.critic(fake)).mean()

    def train_critic(self, index, fake):
        update(self.critic_adam, self.adversary(self.images[index % 4], fake))
        if index % 8 == 0:
            update(self.critic_adam, 8 * 0.25 * self.slope(self.images[(index + 1) % 4]).square().sum(dim=1).mean())

class Published(PerturbGan):
    """One latent for both layers, mixed styles, Wasserstein losses with gradient penalty."""

    fool = staticmethod(torch.neg)

    def __init__(self, wrap):
        super().__init__(wrap, StyleGenerator(4), StyleGenerator(3), style_critic(), side=64, batch=4, latent=512, least=0.25)

    def latents(self):
        z, mate = torch.randn(2, self.batch, self.latent, **PLACE)
        return z, mate if random.random() < 0.9 else z.clone()

    def layers(self, z, second):
        front, mask = self.actor(z, second).split((3, 1), dim=1)
        return self.backdrop(z, second), front, torch.sigmoid(mask)

    def adversary(self, real, fake):
        on_real = self.critic(real)
        return self.critic(fake).mean() - on_real.mean() + 1e-3 * on_real.square().mean()

    def train_critic(self, index, fake):
        real = self.images[index % 4]
        mixed = torch.lerp(fake.float(), real, torch.rand(self.batch, 1, 1, 1, **PLACE))
        penalty = (self.slope(mixed).norm(dim=1) - 1).square().mean()
        update(self.critic_adam, self.adversary(real, fake) + 10 * penalty)

# ---- W4: ReDO
class SpectralConv(nn.Conv2d):
    """The weight divided by its largest singular value, found by one power step per call, v first."""

    def __init__(self, channels, out, kernel=3, bias=True):
        super().__init__(channels, out, kernel, padding=kernel // 2, bias=bias)
        self.register_buffer("u", F.normalize(torch.randn(out), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(channels * kernel**2), dim=0))

    def forward(self, x):
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            v = F.normalize(matrix.t() @ self.u, dim=0, eps=1e-12)
            u = F.normalize(matrix @ v, dim=0, eps=1e-12)
            self.u.copy_(u)
            self.v.copy_(v)
        return F.conv2d(x, self.weight / torch.dot(u, matrix @ v), self.bias, padding=self.padding)

class SelfAttention(nn.Module):
    """Over pixels, without a scale; keys and values pooled (SAGAN)."""

    def __init__(self, channels):
        super().__init__()
        self.query, self.find = (SpectralConv(channels, channels // 8, 1, bias=False) for _ in range(2))
        self.value = SpectralConv(channels, channels // 2, 1, bias=False)
        self.back = SpectralConv(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        queries = self.query(x).flatten(2)
        keys = F.max_pool2d(self.find(x), 2).flatten(2)
        values = F.max_pool2d(self.value(x), 2).flatten(2)
        near = torch.softmax(queries.transpose(1, 2) @ keys, dim=-1)
        seen = (values @ near.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.back(seen)

class Up(nn.Module):
    def __init__(self, channels, out, latent):
        super().__init__()
        self.norm_a, self.norm_b = Modulated(channels, latent), Modulated(out, latent)
        self.conv_a = SpectralConv(channels + 1, out, bias=False)
        self.conv_b = SpectralConv(out, out)
        self.around = SpectralConv(channels, out, 1)

    def forward(self, x, mask, z):
        small = F.avg_pool2d(mask, mask.shape[2] // x.shape[2])
        a = self.conv_a(grow(torch.cat([F.relu(self.norm_a(x, z)), small], dim=1)))
        return self.conv_b(F.relu(self.norm_b(a, z))) + self.around(grow(x))

class RegionGenerator(nn.Module):
    def __init__(self, latent, widths=(512, 512, 256, 128, 64, 32)):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(latent, widths[0] * 16), nn.Unflatten(1, (widths[0], 4, 4)))
        self.blocks = nn.ModuleList(Up(a, b, latent) for a, b in zip(widths, widths[1:]))
        self.look = SelfAttention(widths[-2])
        self.norm = Modulated(widths[-1], latent)
        self.last = SpectralConv(widths[-1] + 1, 3)

    def forward(self, mask, z):
        h = self.stem(z)
        for block in self.blocks[:-1]:
            h = block(h, mask, z)
        h = self.blocks[-1](self.look(h), mask, z)
        return torch.tanh(self.last(torch.cat([F.relu(self.norm(h, z)), mask], dim=1)))

def redo_critic(out, attend, widths=(3, 64, 128, 256, 512, 1024)):
    """Blocks that halve down to four pixels, attention after the first; the sum over what is left goes through one layer."""
    layers = []
    for a, b in zip(widths, widths[1:]):
        body = [SpectralConv(a, b), nn.ReLU(), SpectralConv(b, b), nn.AvgPool2d(2)]
        layers.append(Join([nn.ReLU(), *body] if layers else body, [nn.AvgPool2d(2), SpectralConv(a, b, 1)]))
    if attend:
        layers.insert(1, SelfAttention(widths[1]))
    layers.append(Join([nn.ReLU(), SpectralConv(b, b), nn.ReLU(), SpectralConv(b, b)], []))
    return nn.Sequential(*layers, Apply(lambda x: x.sum(dim=(2, 3))), nn.Linear(b, out))

def normed(channels, out, norm=nn.InstanceNorm2d, bias=False, **options):
    return [nn.Conv2d(channels, out, bias=bias, **options), norm(out, affine=True), nn.ReLU()]

class MaskNetwork(nn.Module):
    """Halved twice, residual blocks, pyramid pooling, and back; two regions that sum to one."""

    def __init__(self, base=16):
        super().__init__()
        inner, wide = 4 * base, 4 * base + 4
        layers = [nn.ReflectionPad2d(3), *normed(3, base, kernel_size=7)]
        layers += normed(base, 2 * base, kernel_size=3, stride=2, padding=1) + normed(2 * base, inner, kernel_size=3, stride=2, padding=1)
        for _ in range(3):
            body = [*normed(inner, inner, kernel_size=3, padding=1), nn.Conv2d(inner, inner, 3, padding=1)]
            layers += [Join(body, []), nn.InstanceNorm2d(inner, affine=True), nn.ReLU()]
        self.encoder = nn.Sequential(*layers)
        self.branches = nn.ModuleList(nn.Conv2d(inner, 1, 1) for _ in range(4))
        layers = [nn.Upsample(scale_factor=2), *normed(wide, wide // 2, kernel_size=3, padding=1)]
        layers += [nn.Upsample(scale_factor=2), *normed(wide // 2, wide // 4, kernel_size=3, padding=1)]
        self.decoder = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(wide // 4, 1, 7), nn.Sigmoid())

    def forward(self, x):
        h = self.encoder(x)
        size = h.shape[-1]
        pooled = [branch(F.avg_pool2d(h, max(1, size // bins))) for branch, bins in zip(self.branches, (1, 2, 3, 6))]
        seen = [F.interpolate(y, size=(size, size), mode="bilinear") for y in pooled]
        m = self.decoder(torch.cat([h, *seen], dim=1))
        return m, 1 - m

class Redo:
    """Two turns with one batch and the same latents; the second sees the updated masks and generators, so it paints anew."""

    def __init__(self, wrap, side=128, batch=2, latent=32):
        self.masks, self.critic = MaskNetwork(), redo_critic(1, attend=True)
        self.generators = nn.ModuleList(RegionGenerator(latent) for _ in range(2))
        self.regressor = redo_critic(2 * latent, attend=False)
        self.batch, self.latent, self.images = batch, latent, images(batch, side)
        painters = [*self.generators.parameters(), *self.regressor.parameters()]
        groups = [{"params": painters}, {"params": self.masks.parameters(), "lr": 1e-5, "weight_decay": 1e-4}]
        self.generator_adam = torch.optim.Adam(groups, lr=1e-4, betas=(0.0, 0.9))
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), lr=1e-4, betas=(0.0, 0.9))
        self.paint, self.generator_loss, self.hinge = wrap(self.redrawn), wrap(self.generator_loss), wrap(self.hinge)

    def redrawn(self, image, z):
        """Each region painted by its generator, and the images in which one region is redrawn."""
        masks = self.masks(image)
        painted = [mask * net(mask, code) for net, mask, code in zip(self.generators, masks, z)]
        return painted, torch.cat([new + (1 - mask) * image for new, mask in zip(painted, masks)])

    def generator_loss(self, image, z):
        painted, fakes = self.redrawn(image, z)
        guessed = self.regressor(painted[0] + painted[1]).unflatten(1, (2, self.latent))
        return -self.critic(fakes).mean() + 5 * F.mse_loss(guessed, z.transpose(0, 1))

    def hinge(self, real, fakes):
        return F.relu(1 - self.critic(real)).mean() + F.relu(1 + self.critic(fakes)).mean()

    def __call__(self, index):
        image, z = self.images[index % 4], torch.randn(2, self.batch, self.latent, **PLACE)
        self.critic.requires_grad_(False)
        update(self.generator_adam, self.generator_loss(image, z))
        self.critic.requires_grad_(True)
        with torch.no_grad():
            _, fakes = self.paint(image, z)
        update(self.critic_adam, self.hinge(self.images[(index + 1) % 4], fakes))

# ---- W6: a segmenter
def two(channels, out):
    options = {"norm": nn.BatchNorm2d, "bias": True, "kernel_size": 3, "padding": 1}
    return nn.Sequential(*normed(channels, out, **options), *normed(out, out, **options))

class Level(nn.Module):
    """What is seen at one resolution, beside what the coarser ones make of it."""

    def __init__(self, channels, width, *coarser):
        super().__init__()
        self.down = two(channels, width)
        self.inner = Level(width, *coarser) if coarser else None
        self.up = two(width + coarser[0], width) if coarser else None

    def forward(self, x):
        h = self.down(x)
        return h if self.inner is None else self.up(torch.cat([h, grow(self.inner(F.max_pool2d(h, 2)))], dim=1))

def segmenter(wrap):
    net = nn.Sequential(Level(3, 16, 32, 64, 64), nn.Conv2d(16, 1, 1), nn.Flatten(0, 1))
    batches, adam = images(16, 64), torch.optim.Adam(net.parameters(), lr=1e-3)
    loss = wrap(lambda x: F.binary_cross_entropy_with_logits(net(x), (x[:, 0] >= 0).float()))
    return lambda index: update(adam, loss(batches[index % 4]))

# ---- W7 and W8: single operations. Shapes are batch, channels in and out, side, kernel, stride.
SHAPES = [
    (16, 3, 16, 32, 3, 1), (16, 16, 16, 32, 3, 1), (16, 16, 32, 32, 3, 1), (16, 32, 32, 16, 3, 1), (16, 32, 64, 16, 3, 1),
    (16, 64, 64, 8, 3, 1), (16, 64, 96, 8, 3, 1), (16, 96, 96, 4, 3, 1), (16, 64, 32, 16, 1, 1), (16, 32, 16, 32, 1, 1),
    (4, 512, 512, 8, 3, 1), (4, 512, 512, 16, 3, 1), (4, 512, 512, 32, 3, 1), (4, 512, 256, 64, 3, 1), (2, 64, 128, 128, 3, 1),
    (2, 256, 512, 16, 3, 1), (2, 512, 1024, 8, 3, 1), (16, 16, 16, 64, 3, 1), (16, 64, 64, 16, 3, 1), (2, 16, 32, 128, 3, 2),
]  # fmt: skip

def convolutions(wrap):
    """Forward and the gradients by input and weight. What comes back has the precision of what went forth."""
    kind = torch.get_autocast_dtype(device()) if torch.is_autocast_enabled(device()) else torch.float32
    for batch, channels, out, side, kernel, stride in SHAPES:
        x = torch.randn(batch, channels, side, side, requires_grad=True, **PLACE)
        w = torch.randn(out, channels, kernel, kernel, requires_grad=True, **PLACE)
        g = torch.randn(batch, out, side // stride, side // stride, dtype=kind, **PLACE)
        forward = wrap(functools.partial(F.conv2d, stride=stride, padding=(kernel - 1) // 2))
        yield f"{batch}x{channels}->{out} {side}x{side} k{kernel} s{stride}", lambda: torch.autograd.grad(forward(x, w), (x, w), g), {}

def elementwise(wrap):
    """With the fewest bytes that can be moved: every input read once, every output written once."""
    x, g = torch.randn(2, 16, 64, 64, 64, **PLACE)
    a, b, c, d = torch.randn(4, 1, 64, 1, 1, **PLACE)
    size = 4 * x.numel()
    chain = wrap(lambda x: lrelu(x * a + b) * c + d)
    yield "chain", lambda: chain(x), {"bytes": 2 * size + 4 * 4 * 64}
    norm = wrap(functools.partial(F.instance_norm, eps=1e-5))
    yield "instance_norm", lambda: norm(x), {"bytes": 2 * size}
    weight = nn.Parameter(torch.randn(x.numel(), **PLACE))
    weight.grad = g.flatten()
    adam = torch.optim.Adam([weight], lr=1e-3, foreach=True)
    yield "adam", wrap(lambda: adam.step()), {"bytes": 7 * size}
    slope, leaf = wrap(lrelu), x.clone().requires_grad_()
    yield "lrelu_backward", lambda: torch.autograd.grad(slope(leaf), leaf, g), {"bytes": 4 * size}

def ceiling(wrap):
    """Products of matrices of a side, and copies of so many numbers; small ones for a processor."""
    side, numbers = (8192, 1 << 26) if device() == "cuda" else (1024, 1 << 24)
    a, b = torch.randn(2, side, side, **PLACE)
    yield "product", wrap(lambda: a @ b), {"flop": 2 * side**3}
    x = torch.randn(numbers, **PLACE)
    y = torch.empty_like(x)
    yield "copy", wrap(lambda: y.copy_(x)), {"bytes": 8 * numbers}

# ---- the command
TRAININGS = {"W1": Iem, "W2": Compact, "W3": Published, "W4": Redo, "W5": Move, "W6": segmenter}
OPERATIONS = {"W7": convolutions, "W8": elementwise, "ceiling": ceiling}

def milliseconds(begin):
    return (time.perf_counter() - begin) * 1e3

def device():
    """Its kind."""
    return PLACE["device"].type

def settled():
    """Waits for the card."""
    if device() == "cuda":
        torch.cuda.synchronize()

def measure(options, wrap):
    begin, first, cases = time.perf_counter(), None, []
    if options.workload in OPERATIONS:
        operations, warm, least, patience = OPERATIONS[options.workload](wrap), 1, 3, 300
    else:
        with PLACE["device"]:  # not around steps: it costs time in every call
            training, index = TRAININGS[options.workload](wrap), itertools.count()
        operations, warm, least, patience = [("step", lambda: training(next(index)), {})], options.warm, options.steps, 0
    for name, step, more in operations:
        run = marked(step) if options.compile else step
        run()
        settled()
        first = first or milliseconds(begin)
        for _ in range(1, warm):
            run()
        settled()
        since, runs = time.perf_counter(), 0
        while runs < least or milliseconds(since) < patience:
            run()
            runs += 1
            if patience and runs % 16 == 0:
                settled()  # else patience would be over long before the card is
        settled()
        cases.append({"name": name, "ms": milliseconds(since) / runs, **more})
        if options.compile:
            torch.compiler.reset()  # another shape is another program, not a more general one
    return first, cases

def marked(step):
    """Tells the graphs of torch.compile where a step begins: what they left before may be overwritten."""

    def run():
        torch.compiler.cudagraph_mark_step_begin()
        return step()

    return run

def prepare(options):
    """The device, and how products and convolutions compute on it; gives the surroundings of every step."""
    global BLUR
    torch.set_num_threads(options.threads)
    PLACE["device"] = torch.device(options.device)
    BLUR = BLUR.to(PLACE["device"])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    if options.precision == "bf16":
        return torch.autocast(device(), dtype=torch.bfloat16)
    return contextlib.nullcontext()

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", choices=[*TRAININGS, *OPERATIONS])
    for name, usual in (("--steps", 16), ("--warm", 8), ("--threads", 2)):
        parser.add_argument(name, type=int, default=usual)
    parser.add_argument("--compile", action="store_true", help="forwards and losses go through torch.compile")
    parser.add_argument("--mode", default="default", help="of torch.compile, such as reduce-overhead")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16"], default="f32")
    options = parser.parse_args()
    surroundings = prepare(options)
    torch.manual_seed(0)
    random.seed(0)
    compiled = options.mode if options.compile else False
    result = {"workload": options.workload, "torch": torch.__version__, "compiled": compiled}
    result |= {"device": options.device, "precision": options.precision}
    mode = None if options.mode == "default" else options.mode
    try:
        with surroundings:
            wrap = functools.partial(torch.compile, dynamic=False, mode=mode) if options.compile else lambda function: function
            first, cases = measure(options, wrap)
        if device() == "cuda":
            result["device_mb"] = torch.cuda.max_memory_allocated() / 1e6
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result |= {"ms": sum(case["ms"] for case in cases), "cases": cases, "mb": peak / 1000, "first_ms": first}
    except Exception as error:
        if not options.compile:
            raise
        result["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(result))

if __name__ == "__main__":
    main()
