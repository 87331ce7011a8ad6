"""The second stage of IEM: a network learns masks by cross entropy, in PyTorch and f64, from the description of the method.

python iem_net.py GIVEN.safetensors RESULTS.safetensors imitate
"""

import sys

import torch.nn.functional as F

from given import Given, adam, save
from pyramid import pyramid

given = Given(sys.argv[1])
results = {}
logits = pyramid(given, "net_2", given["field.lessons.image"])[:, 0]
loss = F.binary_cross_entropy_with_logits(logits, given["field.lessons.mask"])
adam(given, results, loss, ["net_2"], lambda path: 1e-3, (0.9, 0.999))
results["loss"] = loss
save(results, sys.argv[2])
