"""What the twins share: tensors by name in, results by name out, Adam."""

import torch
from safetensors.torch import load_file, save_file


class Given:
    """Weights, states, fields and draws of one update, in f64."""

    def __init__(self, path):
        self.tensors = {name: tensor.double() for name, tensor in load_file(path).items()}
        self.weights = {}

    def __getitem__(self, name):
        return self.tensors[name]

    def draw(self, *parts):
        """The draw whose path holds these parts."""
        draws = sorted(name for name in self.tensors if name.startswith("draw."))
        found = [name for name in draws if all(part in name for part in parts)]
        assert len(found) == 1, (parts, found, draws)
        return self.tensors[found[0]]

    def w(self, path):
        """A weight, the same leaf whenever it is asked for."""
        if path not in self.weights:
            self.weights[path] = self.tensors["weight." + path].clone().requires_grad_()
        return self.weights[path]


def adam(given, results, loss, models, rate, betas, decay=lambda path: 0.0, shrink=None):
    """One step of Kingma & Ba 2015 on every weight of the models that the loss reaches; `rate` and `decay` (added to the gradient) are
    functions of the path. `shrink`: that of Loshchilov & Hutter 2019, with this decay beside the gradient."""
    paths = [path for path in given.weights if path.split(".")[0] in models]
    slopes = torch.autograd.grad(loss, [given.weights[path] for path in paths], allow_unused=True)
    for path, slope in zip(paths, slopes):
        if slope is None:
            continue
        weight = given.weights[path].detach()
        state = path if shrink is None else path + ".inner"
        full = slope + decay(path) * weight
        first, second = (given["buffer." + state + end] for end in (".m", ".v"))
        step = given["buffer." + state + ".t"] + 1
        first = betas[0] * first + (1 - betas[0]) * full
        second = betas[1] * second + (1 - betas[1]) * full**2
        size = first / (1 - betas[0] ** step) / ((second / (1 - betas[1] ** step)).sqrt() + 1e-8)
        results["weight." + path] = weight * (1 - rate(path) * (shrink or 0.0)) - rate(path) * size
        results["next." + state + ".m"] = first
        results["next." + state + ".v"] = second


def save(results, path):
    save_file({name: tensor.detach().double().contiguous() for name, tensor in results.items()}, path)
