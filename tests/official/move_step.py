"""MOVE's two updates at full size: losses, critic and head are those of `tests/twins/move.py`, the frozen networks those of the usual
libraries with the files that `networks.py` wrote.

python move_step.py FOLDER spot|object [single]

reads `FOLDER/move-LOSS.given.safetensors` and writes `FOLDER/move-LOSS.results.safetensors`. With `single` it writes nothing and says how
far the same in single precision is from what was written. Six GB of memory.
"""

import pathlib
import sys

import timm
import torch
from safetensors.torch import load_file

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "twins"))

import move
import networks
from given import Given, save


class Official:
    """DINO ViT-S/8, MAE ViT-L/16 and EfficientNet-lite0 from a folder."""

    def __init__(self, folder, kind):
        def filled(model, weights):
            own = model.state_dict()
            model.load_state_dict({name: value for name, value in weights.items() if name in own})
            return model.to(kind).eval().requires_grad_(False)

        self.dino = filled(timm.create_model("vit_small_patch8_224", num_classes=0), torch.load(folder / "dino.pth"))
        self.mae = filled(networks.Mae(), torch.load(folder / "mae.pth", mmap=True)["model"])
        eye = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3, 4))
        self.taps = filled(eye, load_file(folder / "lite0.safetensors"))

    def features(self, x):
        h = self.dino._pos_embed(self.dino.patch_embed(x))
        for block in self.dino.blocks[:11]:
            h = block(h)
        return torch.cat([networks.as_map(one[None], x.shape[-1] // 8)[None] for one in h])

    def painted(self, x, keep):
        return torch.stack([self.mae(one[None], part) for one, part in zip(x, keep)])


def apart(found, written, given):
    """How far each tensor is from what was written, of weights the change: in parts of the largest number, of the root mean square."""
    rows = []
    for name, value in written.items():
        before = given.tensors[name].double() if name.startswith("weight.") else 0
        off, size = found[name].double() - value, value - before
        rms = (off.square().mean() / size.square().mean()).sqrt().item()
        rows.append((rms, (off.abs().max() / size.abs().max()).item(), size.abs().max().item(), name))
    for rms, most, size, name in sorted(rows, reverse=True):
        print(f"{rms:.1e} {most:.1e} of {size:.1e} {name}")


def main():
    folder, loss = pathlib.Path(sys.argv[1]), sys.argv[2]
    kind = torch.float32 if sys.argv[3:] == ["single"] else torch.float64
    given = Given(folder / f"move-{loss}.given.safetensors")
    given.tensors = {name: tensor.to(kind) for name, tensor in given.tensors.items()}
    move.MEAN, move.DEVIATION = move.MEAN.to(kind), move.DEVIATION.to(kind)
    results = move.run(given, Official(folder, kind), loss)
    path = folder / f"move-{loss}.results.safetensors"
    if kind == torch.float64:
        save(results, path)
    else:
        apart({name: tensor.detach() for name, tensor in results.items()}, load_file(path), given)


if __name__ == "__main__":
    main()
