#!/usr/bin/env python3
"""Everything that is to be run when a card is at hand, as one command that writes one JSON.

    python benches/card.py [--segc PATH] [--on cuda] [--out card.json] [--only PARTS] [--skip PARTS] [--minutes 10]

Parts, in this order:
    doctor    what the machine has
    selftest  `segc selftest`: ops, golden cases, steps of a training, compute-sanitizer where it is
    moves     a run that begins on the card and continues on the processor, and the other way round
    training  the default of specs/perturbgan.seg on the card and on the processor, with the IoUs of both
    bench     `segc bench` for each workload in each precision, beside PyTorch
    compiled  W2 to W6 in strict f32 beside torch.compile (`--mode`), whose compilation takes minutes


Each part has a limit of its own, and all together have `--minutes`; what fails or takes too long is recorded, what no time is left for is left
out, and the rest runs. `compiled` is done when it is named, in a session of its own. The file is
written anew after every part, so that an end from outside loses nothing that was done. The exit code is 1 if a part failed.

It needs the program, the folders benches, specs and tests/goldens beside each other, and for the peer a Python with `torch` (this one,
unless `--python` names another). The libraries of CUDA are looked for in that Python's `nvidia/*/lib`.
"""

import argparse
import glob
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HOME = pathlib.Path(__file__).resolve().parent.parent
PARTS = ["doctor", "selftest", "moves", "training", "bench", "compiled"]
WORKLOADS = ["W1", "W2", "W3", "W4", "W5", "W6", "W7"]
PRECISIONS = ["f32", "tf32", "bf16"]
# Seconds that a part may take at most; of moves and training each run, of bench and compiled each workload in each precision.
LIMITS = {"doctor": 30, "selftest": 150, "moves": 40, "training": 200, "bench": 60, "compiled": 200}


class Session:
    """Runs commands within the time that is left, and keeps the file up to date."""

    def __init__(self, options):
        self.options, self.begun, self.parts = options, time.monotonic(), []
        self.environment = surroundings(options.python)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="segc-card-"))

    def left(self):
        return self.options.minutes * 60 - (time.monotonic() - self.begun)

    def run(self, words, limit):
        """A command of segc; gives its record."""
        limit = min(limit, self.left())
        command = [str(self.options.segc), *map(str, words)]
        if limit < 1:
            return {"command": command, "left_out": "no time is left", "seconds": 0.0}
        begun = time.monotonic()
        try:
            # A process group of its own, so that its peers end with it.
            process = subprocess.Popen(command, cwd=HOME, env=self.environment, text=True, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip
        except OSError as cause:
            return {"command": command, "error": str(cause), "seconds": 0.0}
        try:
            out, err = process.communicate(timeout=limit)
            record = {"exit": process.returncode}
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            record = {"error": f"not done after {limit:.0f} s"}
        if record.get("exit", 0) != 0:
            record["error"] = f"exit code {process.returncode}"
        if "error" in record:
            record["said"] = err.strip()[-4000:]
        return {"command": command, **record, "seconds": time.monotonic() - begun, "out": out}

    def note(self, name, record):
        """Keeps what a part gave, says it, and writes the file."""
        record.pop("out", None)
        self.parts.append({"part": name, **record})
        said = f"failed: {record['error']}" if "error" in record else record.get("left_out", record.get("line", "done"))
        print(f"{time.monotonic() - self.begun:6.0f} s  {name}: {said}", flush=True)
        self.write()

    def failed(self):
        return [part["part"] for part in self.parts if "error" in part]

    def write(self):
        whole = {"on": self.options.on, "machine": machine(), "seconds": time.monotonic() - self.begun, "failed": self.failed()}
        part = self.options.out.with_name(f".{self.options.out.name}.part")
        part.write_text(json.dumps({**whole, "parts": self.parts}, indent=1) + "\n")
        part.replace(self.options.out)


def surroundings(python):
    """The environment of segc: the peer's Python, and the libraries that came with its torch."""
    ask = "import sysconfig; print(sysconfig.get_paths()['purelib'], sysconfig.get_paths()['platlib'], sep='\\n')"
    said = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False).stdout.split("\n")
    folders = sorted({folder for site in said if site for folder in glob.glob(f"{site}/nvidia/**/lib", recursive=True)})
    known = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    return {**os.environ, "SEGC_PEER": python, "LD_LIBRARY_PATH": ":".join([*known, *folders]), "NO_COLOR": "1"}


def machine():
    model = [line.split(":", 1)[1].strip() for line in read("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    return {"processor": model[0] if model else platform.machine(), "cores": os.cpu_count(), "system": platform.platform()}


def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def parsed(record, name="found"):
    """Reads what a command said as JSON."""
    try:
        record[name] = json.loads(record.get("out", ""))
    except ValueError:
        if "left_out" not in record:
            record.setdefault("error", "it said no JSON")
    return record


def doctor(session):
    record = parsed(session.run(["doctor", "--json"], LIMITS["doctor"]))
    session.note("doctor", record)


def selftest(session):
    file = session.scratch / "selftest.json"
    words = ["selftest", "--on", session.options.on, "--goldens", HOME / "tests/goldens", "--json", file]
    record = session.run(words, LIMITS["selftest"])
    if file.is_file():
        record["found"] = json.loads(file.read_text())
        sums = [f"{part['part']} {part['cases']} cases, {len(part['wrong'])} wrong" for part in record["found"]["parts"] if "cases" in part]
        record["line"] = "; ".join(sums)
    session.note("selftest", record)


def figures(out):
    """What a run measured, by name."""
    summary = json.loads(read(out / "summary.json") or "{}")
    return {name: value for name, value in summary.get("metrics", {}).items() if name.startswith("test.")}


def run(session, on, out, more, limit):
    return session.run(["run", "specs/perturbgan.seg", "--on", on, "--out", out, *more], limit)


def moves(session):
    """Some steps on one device, the rest on the other."""
    small = ["--set", "resolution=8", "--set", "widest=16", "--set", "latent=16", "--set", "grow_for=640", "--set", "study_for=20"]
    for first, second in dict.fromkeys([(session.options.on, "cpu"), ("cpu", session.options.on)]):
        begun, out = session.scratch / f"{first}-before-{second}", session.scratch / f"{second}-after-{first}"
        record = run(session, first, begun, [*small, "--stop-after", "20"], LIMITS["moves"])
        if "error" not in record and "left_out" not in record:
            record = run(session, second, out, [*small, "--from", begun], LIMITS["moves"])
            record["figures"] = figures(out)
            if "error" not in record and not record["figures"]:
                record["error"] = "the run that was continued measured nothing"
        session.note(f"moves from {first} to {second}", record)


def training(session):
    """The default spec on both; `test.fixed.iou` is to be the same but for the noise of two trainings."""
    more = session.options.sets
    for on in dict.fromkeys([session.options.on, "cpu"]):
        out = session.scratch / f"training-{on}"
        record = run(session, on, out, [word for one in more for word in ("--set", one)], LIMITS["training"])
        record["figures"] = figures(out)
        iou = [f"{name} {value:.3f}" for name, value in record["figures"].items() if name.endswith("iou")]
        record["line"] = f"{record['seconds']:.0f} s, " + ", ".join(iou)
        session.note(f"training on {on}", record)


def bench(session):
    options = session.options
    for workload in options.workloads:
        for precision in options.precision:
            measured(session, "bench", workload, precision, [])
            if options.on == "cpu":
                break


def compiled(session):
    for workload in WORKLOADS[1:6]:
        if workload in session.options.workloads:
            measured(session, "compiled", workload, "f32", ["--compiled", "--mode", session.options.mode])


def measured(session, part, workload, precision, more):
    """One workload in one precision; what the card reaches is measured once for each precision."""
    options = session.options
    words = ["bench", workload, "--peer", "--json", "--repeats", options.repeats, *more]
    if options.on != "cpu":
        words += ["--on", options.on, "--precision", precision, "--ceilings", session.scratch / "ceilings.json"]
    record = parsed(session.run(words, LIMITS[part]))
    rows = record.get("found", [])
    for row in rows.get("rows", []) if isinstance(rows, dict) else rows:
        ratios = [f"{kind} takes {row[f'ratio_{kind}']:.2f} times as long" for kind in ("eager", "compiled") if row.get(f"ratio_{kind}")]
        record["line"] = ", ".join([f"{row['ours_ms']:.3f} ms" if row.get("ours_ms") else "not measured", *ratios])
    session.note(f"{part} {workload} {precision}", record)


def program():
    """The program beside this file, that of a clone, or that on the path."""
    near = [HOME / "segc", HOME / "target/release/segc"]
    return next((str(path) for path in near if path.is_file()), shutil.which("segc") or "segc")


def choice(all_of):
    def chosen(text):
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in all_of]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {unknown[0]}; there are {', '.join(all_of)}")
        return names

    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segc", default=program(), help="the program")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch, for the peer and its libraries")
    parser.add_argument("--on", default="cuda", help="the device that is looked at")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("card.json"))
    parser.add_argument("--only", type=choice(PARTS), default=PARTS[:-1], help="parts, with a comma between")
    parser.add_argument("--skip", type=choice(PARTS), default=[], help="parts that are left out")
    parser.add_argument("--workloads", type=choice([*WORKLOADS, "W8"]), default=WORKLOADS)
    parser.add_argument("--precision", type=choice(PRECISIONS), default=PRECISIONS)
    parser.add_argument("--mode", default="reduce-overhead", help="of torch.compile")
    parser.add_argument("--repeats", type=int, default=1, help="measurements of each side")
    parser.add_argument("--minutes", type=float, default=10, help="for all together")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="NAME=VALUE", help="a param of the training")
    options = parser.parse_args()
    options.segc = pathlib.Path(options.segc).resolve() if os.sep in options.segc else options.segc
    options.out = options.out.resolve()
    session = Session(options)
    try:
        for name in PARTS:
            if name in options.only and name not in options.skip:
                try:
                    globals()[name](session)
                except Exception as error:  # a part that breaks here is as good as one that fails there
                    session.note(name, {"error": f"{type(error).__name__}: {error}"})
    finally:
        shutil.rmtree(session.scratch, ignore_errors=True)
    print(f"{options.out}: " + (f"failed: {', '.join(session.failed())}" if session.failed() else "all parts done"))
    sys.exit(1 if session.failed() else 0)


if __name__ == "__main__":
    main()
