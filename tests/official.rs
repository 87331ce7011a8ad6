//! The library's networks with weights in the official containers under the official names give what the usual PyTorch libraries give
//! (`tests/official/README.md`). The files take 1.5 GB, so this runs only where `SEGC_OFFICIAL` names their folder.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::segc;
use twin::{Case, Processor, Size};

mod support;
mod twin;

/// Differences in parts of the root of the mean square of an output.
const TOLERANCE: f64 = 1e-4;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SEGC_OFFICIAL").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: SEGC_OFFICIAL names no folder with official weights");
    }
    folder
}

/// The figures of one spec, and the parameters of its model.
fn found(folder: &Path, spec: &str, file: &str, sets: &[&str]) -> Value {
    let home = tempfile::tempdir().unwrap();
    for name in [spec, "picture.seg"] {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official").join(name), home.path().join(name)).unwrap();
    }
    let file = format!("file_of={}", folder.join(file).display());
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let words: Vec<&str> = ["run", spec, "--quiet", "--out", "out", "--set", &file].into_iter().chain(sets).collect();
    segc(home.path(), &words).succeeds();
    let summary: Value = serde_json::from_slice(&fs::read(home.path().join("out/summary.json")).unwrap()).unwrap();
    summary["metrics"].clone()
}

/// Every figure is within the tolerance of the output's size; `suffix` says which output it is.
fn compare(found: &Value, expected: &Value, suffix: &str) {
    let figures = ["mean", "square", "channels", "rows", "columns", "all", "first", "last"];
    let given = |name: &str| expected[format!("{name}{suffix}")].as_f64().unwrap();
    let size = given("square").sqrt();
    for name in figures {
        let own = found[format!("found.{name}")].as_f64().unwrap_or_else(|| panic!("{name} is not in {found}"));
        let scale = if name == "square" { size * size } else { size };
        let off = (own - given(name)).abs() / scale;
        println!("{name}{suffix}: {own} and {}, {off:.1e} apart", given(name));
        assert!(off < TOLERANCE, "{name}{suffix} is {own}, the library gave {}", given(name));
    }
}

fn expected(folder: &Path, name: &str) -> Value {
    let all: Value = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    all[name].clone()
}

#[test]
fn features_of_dino() {
    let Some(folder) = folder() else { return };
    compare(&found(&folder, "dino.seg", "dino.pth", &[]), &expected(&folder, "dino"), "");
}

#[test]
fn pictures_of_mae_with_soft_masking() {
    let Some(folder) = folder() else { return };
    compare(&found(&folder, "mae.seg", "mae.pth", &[]), &expected(&folder, "mae"), "");
}

#[test]
fn taps_of_efficientnet() {
    let Some(folder) = folder() else { return };
    for tap in 0..4 {
        let found = found(&folder, "lite0.seg", "lite0.safetensors", &[&format!("tap={tap}")]);
        compare(&found, &expected(&folder, "lite0"), &format!("_{tap}"));
    }
}

/// One update of MOVE's paper variant at 224 pixels, two images, against `tests/official/move_step.py`. Masks are to be larger than they
/// are, so that the loss of small ones has a slope. Derivatives of networks with kinks are no more exact in f32 than `tolerance`.
fn move_update(loss: &'static str, name: &'static str, tolerance: f64) {
    let Some(folder) = folder() else { return };
    let file = |name: &str| folder.join(name).display().to_string();
    let files = [("dino_file", file("dino.pth")), ("mae_file", file("mae.pth")), ("eye_file", file("lite0.safetensors"))];
    let sets = files.into_iter().chain([("batch_n", "2".into()), ("least", "0.9".into())]).collect();
    let told = &[("least", 0.9), ("ramp", 0.4)];
    let case = Case { name, spec: "move", sets, instead: &[], phase: 1, loss, batch: 2, elapsed: 1000.0, told, size: Size::ByFan };
    twin::check(&case, &folder, &Processor { threads: 2, tolerance });
}

#[test]
fn update_of_moves_critic() {
    move_update("spot", "move-spot", 2e-2);
}

#[test]
fn update_of_moves_head() {
    move_update("object", "move-object", 1e-3);
}
