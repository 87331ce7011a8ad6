"""The IEM loop in PyTorch, as a peer to measure against: same method, same masks, ordinary eager code.

    python iem.py DIR SIDE [ROUNDS] [THREADS] [BATCH] [--masks OUT] [--limit N]

DIR holds `images/` and `masks/` of one size and equal stems; SIDE is the side of the centred starting square in pixels. Prints one
line of JSON: images, seconds, seconds_per_image, iou (fixed assignment), peak_mb. Loading the pictures is not timed.

The method is that of Savarese et al., CVPR 2021, with the constants of the released code: Gaussian of 11 taps and sigma 5 applied
twice, lambda 1e-3, update of the boundary by the sign of the gradient, smoothing by a 3x3 count of at least four.
"""

import argparse
import json
import pathlib
import resource
import time

import numpy
import torch
import torch.nn.functional as functional
from PIL import Image

SIGMA, TAPS, PASSES, LAMBDA = 5.0, 11, 2, 1e-3


def gaussian(channels):
    """Vertical and horizontal depth-wise kernels, each summing to one."""
    offsets = torch.arange(TAPS, dtype=torch.float32) - TAPS // 2
    taps = torch.exp(-offsets.square() / (2 * SIGMA * SIGMA))
    taps = (taps / taps.sum()).repeat(channels, 1)
    return taps.view(channels, 1, TAPS, 1), taps.view(channels, 1, 1, TAPS)


def blur(stack, kernels):
    vertical, horizontal = kernels
    for _ in range(PASSES):
        stack = functional.conv2d(stack, vertical, padding=(TAPS // 2, 0), groups=stack.shape[1])
        stack = functional.conv2d(stack, horizontal, padding=(0, TAPS // 2), groups=stack.shape[1])
    return stack


def inpaint(image, visible, kernels):
    """Colours guessed from where `visible` is one; far from there, their mean colour."""
    stack = torch.cat([image * visible, visible], dim=1)
    floor = 1e-8 * stack.sum(dim=(2, 3), keepdim=True)
    stack = blur(stack, kernels) + floor
    return stack[:, :3] / stack[:, 3:]


def surprise(image, region, kernels):
    """How badly a region is guessed from its complement, per image."""
    error = (image - inpaint(image, 1 - region, kernels)).abs().mean(dim=1, keepdim=True)
    return (region * error).sum(dim=(1, 2, 3)) / region.sum(dim=(1, 2, 3))


def deviation(image, region):
    """Squared distance of a region's colours to their mean, summed, per image."""
    mean = (region * image).sum(dim=(2, 3), keepdim=True) / region.sum(dim=(2, 3), keepdim=True)
    return (region * (image - mean).square()).sum(dim=(1, 2, 3))


def boundary(mask):
    """Pixels with a 4-neighbour of the other value; beyond the frame everything is 0, for mask and complement alike."""

    def edge(inside):
        padded = functional.pad(inside, (1, 1, 1, 1))
        around = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1] + padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:]
        return (4 * inside - around) >= 0.5

    return edge(mask) | edge(1 - mask)


def smooth(mask):
    return (functional.avg_pool2d(mask, 3, stride=1, padding=1) * 9 >= 3.5).float()


def step(image, mask, kernels):
    mask = mask.requires_grad_(True)
    rest = 1 - mask
    gain = surprise(image, mask, kernels) + surprise(image, rest, kernels)
    cost = deviation(image, mask) + deviation(image, rest)
    (uphill,) = torch.autograd.grad((gain - LAMBDA * cost).sum(), mask)
    with torch.no_grad():
        free = boundary(mask) & (uphill != 0)
        return smooth(torch.where(free, (uphill > 0).float(), mask))


def read(files, mode):
    arrays = [numpy.asarray(Image.open(file).convert(mode), dtype=numpy.float32) / 255 for file in files]
    stack = torch.from_numpy(numpy.stack(arrays))
    return stack[:, None] if mode == "L" else 2 * stack.permute(0, 3, 1, 2).contiguous() - 1


def iou(a, b):
    a, b = a > 0.5, b > 0.5
    both, either = (a & b).sum(dim=(1, 2, 3)), (a | b).sum(dim=(1, 2, 3))
    return both / (either + 1e-8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("side", type=int)
    parser.add_argument("rounds", type=int, nargs="?", default=150)
    parser.add_argument("threads", type=int, nargs="?", default=2)
    parser.add_argument("batch", type=int, nargs="?", default=4)
    parser.add_argument("--masks", type=pathlib.Path, help="write the final masks into this folder")
    parser.add_argument("--limit", type=int, help="only so many images")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    files = sorted((options.folder / "images").iterdir())[: options.limit]
    image = read(files, "RGB")
    truth = read([options.folder / "masks" / (file.stem + ".png") for file in files], "L")
    start = torch.zeros_like(truth)
    top, left = (start.shape[2] - options.side) // 2, (start.shape[3] - options.side) // 2
    start[:, :, top : top + options.side, left : left + options.side] = 1
    kernels = gaussian(4)

    found = []
    begin = time.perf_counter()
    for first in range(0, len(files), options.batch):
        batch = slice(first, first + options.batch)
        mask = start[batch].clone()
        for _ in range(options.rounds):
            mask = step(image[batch], mask, kernels)
        found.append(mask)
    seconds = time.perf_counter() - begin
    found = torch.cat(found)

    if options.masks:
        options.masks.mkdir(parents=True, exist_ok=True)
        for file, mask in zip(files, found):
            Image.fromarray((mask[0].numpy() * 255).astype(numpy.uint8)).save(options.masks / (file.stem + ".png"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"images": len(files), "seconds": seconds, "seconds_per_image": seconds / len(files)}
    print(json.dumps(result | {"iou": iou(found, truth).mean().item(), "peak_mb": peak}))


if __name__ == "__main__":
    main()
