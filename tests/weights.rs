//! Official weights from file to figure: the numbers that PyTorch gave, in every container; and every way in which a file can be wrong.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use support::{Said, assert_same, segc};

mod support;

const SMALL: &str = include_str!("weights/small.seg");
const LEARNS: &str = include_str!("weights/learns.seg");

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime/tests/weights").join(name)
}

/// A folder with the specs and one of the files as `small.pth`.
fn home(file: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("small.seg"), SMALL).unwrap();
    fs::write(home.path().join("learns.seg"), LEARNS).unwrap();
    fs::copy(sample(file), home.path().join("small.pth")).unwrap();
    home
}

fn run(home: &Path, more: &[&str]) -> Said {
    segc(home, &[&["run", "small.seg", "--out", "out", "--set", "file_of=small.pth"], more].concat())
}

fn metric(home: &Path, out: &str, name: &str) -> f64 {
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(home.join(out).join("summary.json")).unwrap()).unwrap();
    summary["metrics"][name].as_f64().unwrap_or_else(|| panic!("{name} is not in {summary}"))
}

/// What the network gave in PyTorch 2.15 in double precision.
const GIVEN: [(&str, f64); 4] = [
    ("found.mean", -0.242_588_167_093_368_8),
    ("found.squares", 0.144_879_841_932_643_3),
    ("found.first", 0.287_270_380_706_802_3),
    ("found.last", -0.372_892_742_312_74),
];

#[test]
fn a_model_from_a_file_gives_the_numbers_of_pytorch() {
    for file in ["small.pth", "small_legacy.pth", "small_wrapped.pth", "small.safetensors"] {
        let home = home(file);
        run(home.path(), &["--quiet"]).succeeds();
        for (name, given) in GIVEN {
            let found = metric(home.path(), "out", name);
            assert!((found - given).abs() < 1e-5, "{file}: {name} is {found}, PyTorch gave {given}");
        }
        let report = fs::read_to_string(home.path().join("out/report.html")).unwrap();
        assert!(!report.contains("does not use all of"), "{file}");
    }
}

#[test]
fn without_a_file_the_model_begins_as_its_net_says() {
    let home = home("small.pth");
    segc(home.path(), &["run", "small.seg", "--out", "out", "--quiet"]).succeeds();
    assert!((metric(home.path(), "out", "found.mean") - GIVEN[0].1).abs() > 1e-3);
}

#[test]
fn models_go_on_from_files_and_runs_continue_to_the_same_bytes() {
    let home = home("small.pth");
    let learn = |out: &str, more: &[&str]| {
        segc(home.path(), &[&["run", "learns.seg", "--out", out, "--set", "file_of=small.pth", "--quiet"], more].concat())
    };
    learn("straight", &[]).succeeds();
    for steps in ["2", "6"] {
        learn("halted", &["--stop-after", steps]).succeeds();
    }
    learn("halted", &[]).succeeds();
    assert_same(&home.path().join("straight"), &home.path().join("halted"));
    assert!((metric(home.path(), "straight", "found.mean") - GIVEN[0].1).abs() < 1e-5, "a frozen model moved");
    let stored = fs::read(home.path().join("straight/checkpoints/last.safetensors")).unwrap();
    let stored = safetensors::SafeTensors::deserialize(&stored).unwrap().names().join(" ");
    assert!(stored.contains("weight/") && !stored.contains("weight/S."), "what the file holds is stored again: {stored}");
    let metrics = fs::read_to_string(home.path().join("straight/metrics.jsonl")).unwrap();
    let of = |phase: &str| -> Vec<f64> {
        let lines = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["phase"] == phase).filter_map(|line| line["losses"]["near"].as_f64()).collect()
    };
    let (learn_losses, anew) = (of("learn"), of("anew"));
    assert!(learn_losses.last() < learn_losses.first(), "{metrics}");
    // What starts anew begins with the file again.
    assert!((anew[0] - learn_losses[0]).abs() < 0.3 * learn_losses[0], "{metrics}");
}

#[test]
fn the_content_of_the_file_is_part_of_the_run() {
    let home = home("small.pth");
    run(home.path(), &[]).succeeds();
    let again = run(home.path(), &[]);
    again.succeeds();
    assert!(again.err.contains("holds this run, complete"), "{}", again.err);
    fs::copy(sample("small_legacy.pth"), home.path().join("small.pth")).unwrap();
    run(home.path(), &[]).fails(2, &["the content of small.pth is"]);
    let run: serde_json::Value = serde_json::from_slice(&fs::read(home.path().join("out/run.json")).unwrap()).unwrap();
    assert_eq!(run["weights"]["small.pth"].as_str().map(str::len), Some(64));
}

/// The spec with a part replaced.
fn with(home: &Path, old: &str, new: &str) {
    assert!(SMALL.contains(old), "{old}");
    fs::write(home.join("small.seg"), SMALL.replace(old, new)).unwrap();
}

#[test]
fn files_that_do_not_fit_are_named_before_anything_runs() {
    let home = home("small.pth");
    let said = |old: &str, new: &str| {
        with(home.path(), old, new);
        run(home.path(), &[])
    };
    let line = "small.seg:";
    said("\"head\"", "\"haed\"").fails(3, &["missing-tensor", "haed.bias", "haed.weight", "S.head.b", "`head.bias`", line]);
    said("nn::conv(4)", "nn::conv(4, kernel: 5)").fails(3, &["misshapen-tensor", "stem.weight", "[4, 3, 3, 3]", "[4, 3, 5, 5]", line]);
    let bracket = "[out, channel, row, column]";
    said(bracket, "[channel, (row, column, out)]").fails(3, &["misshapen-tensor", "blocks.0.1.weight", "[4, 4, 1, 1]", "[4, 4]", line]);
    said("\"*.running_var\"", "\"*.num_batches_tracked\"").fails(3, &["misshapen-tensor", "num_batches_tracked"]);
    said("\"*.running_var\"  : usual_var", "\"\" : nothing").fails(2, &["unnamed-weight", "S.stage.0.norm.usual_var", line]);
    let spare = said("\"spare.*\" : none", "");
    spare.succeeds();
    let report = fs::read_to_string(home.path().join("out/report.html")).unwrap();
    assert!(report.contains("does not use all of small.pth") && report.contains("spare.weight"));
}

#[test]
fn files_that_cannot_be_used_are_named_and_nothing_is_left() {
    let home = home("small.pth");
    let file = home.path().join("small.pth");
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    run(home.path(), &[]).fails(3, &["unusable-weights", "small.pth", "damaged or was cut off", "small.seg:"]);
    fs::write(&file, "<html>").unwrap();
    run(home.path(), &[]).fails(3, &["unusable-weights", "a web page"]);
    fs::remove_file(&file).unwrap();
    run(home.path(), &[]).fails(3, &["unusable-weights", "does not exist"]);
    fs::create_dir(&file).unwrap();
    run(home.path(), &[]).fails(3, &["unusable-weights", "is a folder"]);
    assert!(!home.path().join("out").exists());
}

#[test]
fn weights_are_shown_and_converted() {
    let home = home("small_wrapped.pth");
    let shown = segc(home.path(), &["weights", "show", "small.pth"]);
    shown.succeeds();
    insta::assert_snapshot!("show", shown.out);
    let json = segc(home.path(), &["weights", "show", "small.pth", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json["tensors"][0]["name"].as_str(), json["real_numbers"].as_u64()), (Some("state_dict.module.token"), Some(224)));
    assert_eq!(json["not_read"][0]["what"], "argparse.Namespace");
    let convert = |more: &[&str]| segc(home.path(), &[&["weights", "convert", "small.pth", "a.safetensors"], more].concat());
    let said = convert(&["--below", "state_dict.module"]);
    said.succeeds();
    assert!(said.out.contains("wrote a.safetensors: 21 tensors") && said.out.contains("1 object left out"), "{}", said.out);
    convert(&[]).fails(2, &["a.safetensors exists already", "--overwrite"]);
    convert(&["--overwrite"]).succeeds();
    convert(&["--overwrite", "--below", "model"]).fails(2, &["no tensor below"]);
    segc(home.path(), &["weights", "convert", "small.pth", "none/a.safetensors"]).fails(6, &["cannot write none/a.safetensors"]);
    segc(home.path(), &["weights", "show", "small.seg"]).fails(3, &["small.seg", "neither safetensors nor a PyTorch checkpoint"]);
    segc(home.path(), &["weights", "show", "smal.pth"]).fails(3, &["does not exist", "small.pth"]);
    segc(home.path(), &["run", "small.seg", "--set", "file_of=a.safetensors", "--out", "out", "--quiet"]).succeeds();
    assert!((metric(home.path(), "out", "found.mean") - GIVEN[0].1).abs() < 1e-5);
}
