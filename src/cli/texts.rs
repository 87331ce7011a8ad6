//! What `--help` says around the options: what the program is, examples, exit codes.

/// What the program is.
pub const ABOUT: &str = "Unsupervised object segmentation, described in a small declarative language.\n\n\
    A spec (.seg) says what a mask must satisfy; segc checks it, compiles it and runs it.";

/// Where to start, and exit codes.
pub const AFTER: &str = "Start here:\n  \
    segc run specs/iem.seg         find masks in generated scenes and open the report\n  \
    segc segment RUN PHOTOS        find the masks of photographs with that run\n  \
    segc new mine                  write mine.seg, a spec to change\n  \
    segc COMMAND --help            more on a command\n\n\
    Exit codes:\n  \
    0 done   1 faults found by check or selftest   2 wrong usage or spec   3 data   4 checkpoint\n  \
    5 numbers not finite   6 disk or device   75 stopped by a signal after saving\n  \
    101 a fault of segc itself";

/// Of `segc run`.
pub const RUN_EXAMPLES: &str = "Examples:\n  \
    segc run specs/iem.seg\n  \
    segc run specs/iem.seg +paper --set photos=PHOTOS --set labels=MASKS\n  \
    segc run specs/iem.seg --set size=64 --set 'starts=[1/2, 3/4]' --out runs/mine\n\n\
    A run that was stopped (Ctrl-C, --stop-after) is continued by the same command. The folder of a run\n\
    holds report.html, summary.json, metrics.jsonl, grid.png, masks/, run.json, and where models are\n\
    trained checkpoints/ and pictures/.";

/// Of `segc segment`.
pub const SEGMENT_EXAMPLES: &str = "Examples:\n  \
    segc segment runs/perturbgan-1a2b3c4d PHOTOS\n  \
    segc segment runs/mine heron.jpg gull.png --only cutout --out cut\n\n\
    For NAME.jpg it writes NAME.mask.png, NAME.cutout.png and NAME.overlay.png, of its own size.\n\
    A photograph is seen whole, squeezed to the square that the spec computes on.";

/// Of `segc bench`.
pub const BENCH_EXAMPLES: &str = "Examples:\n  \
    segc bench W2 W7\n  \
    segc bench W2 --on cuda --precision f32,bf16\n  \
    SEGC_PEER=venv/bin/python segc bench --peer --compiled --json > bench.json\n\n\
    Each measurement runs in a process of its own, in turns with those of the peer. benches/README.md says what the workloads are.";

/// Of `segc selftest`.
pub const SELFTEST_EXAMPLES: &str = "Examples:\n  \
    segc selftest\n  \
    segc selftest --on reference --only ops --ops conv2d,sum\n  \
    segc selftest --goldens tests/goldens --json selftest.json\n\n\
    It ends with a table; the exit code is 1 if something is wrong.";

/// Of `segc sweep`.
pub const SWEEP_EXAMPLES: &str = "Examples:\n  \
    segc sweep specs/perturbgan.seg --variants none,no_shift,single --seeds 3\n  \
    segc sweep specs/iem.seg +paper --set photos=PHOTOS --set labels=MASKS --out sweeps/iem\n\n\
    Each run has a folder of its own, OUT/VARIANT/seed-N. The same command continues a sweep that was stopped:\n\
    runs that are complete are not done again, half ones go on. sweep.json and sweep.html hold all figures.";
