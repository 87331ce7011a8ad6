//! The command line as a user meets it: wrong usage and wrong files give a clear message and the documented exit code, and no panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{Said, home, segc};

mod support;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn help_and_version_are_there() {
    let help = segc(&repository(), &["--help"]);
    help.succeeds();
    for text in [
        "run",
        "segment",
        "check",
        "show",
        "fmt",
        "explain",
        "ops",
        "doctor",
        "new",
        "bench",
        "weights",
        "Exit codes",
        "segc run specs/iem.seg",
    ] {
        assert!(help.out.contains(text), "{text} is not in the help");
    }
    for verb in ["run", "segment", "check", "show", "fmt", "explain", "ops", "doctor", "new", "weights"] {
        segc(&repository(), &[verb, "--help"]).succeeds();
    }
    assert!(segc(&repository(), &["--version"]).out.starts_with("segc "));
}

#[test]
fn wrong_usage_exits_with_two_and_names_the_nearest() {
    let home = home();
    let said = |words: &[&str]| segc(home.path(), words);
    said(&[]).fails(2, &["Usage"]);
    said(&["rum", "good.seg"]).fails(2, &["rum", "run"]);
    said(&["run"]).fails(2, &["SPEC"]);
    said(&["run", "good.seg", "--treads", "2"]).fails(2, &["--threads"]);
    said(&["run", "good.seg", "--threads", "0"]).fails(2, &["threads"]);
    said(&["run", "good.seg", "--seed", "x"]).fails(2, &["seed"]);
    said(&["run", "good.seg", "--on", "gpu"])
        .fails(2, if cfg!(feature = "dfdx") { &["cpu", "reference", "dfdx"] } else { &["cpu", "reference"] });
    said(&["run", "good.seg", "--set", "size"]).fails(2, &["--set size=64"]);
    said(&["run", "good.seg", "paper"]).fails(2, &["+paper"]);
    said(&["run", "good.seg", "+"]).fails(2, &["plus"]);
    said(&["run", "+paper"]).fails(2, &["no spec"]);
    said(&["check", "+paper"]).fails(2, &["no spec"]);
    said(&["show", "kernel", "good.seg"]).fails(2, &["kernels"]);
}

#[test]
fn a_measurement_by_itself_speaks_json() {
    let home = home();
    let said = segc(home.path(), &["bench", "--alone", "W8", "--threads", "1"]);
    said.succeeds();
    let measured: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let cases = measured["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    assert!(cases.iter().all(|case| case["ms"].as_f64().is_some_and(|ms| ms > 0.0)), "{}", said.out);
    segc(home.path(), &["bench", "W99"]).fails(2, &["W99", "W2"]);
}

#[test]
fn what_a_spec_accepts_is_listed_and_does_not_count() {
    let said = |variant: &str| segc(&repository(), &["check", "specs/perturbgan.seg", variant]);
    let control = said("+no_shift");
    control.succeeds();
    assert!(control.out.contains("accepted[idle-perturbation]: the perturbation `shifted` is not random"), "{}", control.out);
    assert!(control.out.contains("because: variant no_shift") && control.out.contains("1 spec checked, no faults"), "{}", control.out);
    assert!(!said("+big_shift").out.contains("accepted"));
}

#[test]
fn files_that_are_no_specs_are_named() {
    let home = home();
    let said = |words: &[&str]| segc(home.path(), words);
    said(&["run", "god.seg"]).fails(2, &["there is no file god.seg", "good.seg"]);
    said(&["run", "."]).fails(2, &["is a folder", "good.seg"]);
    said(&["run", "good.seg/x.seg"]).fails(2, &["there is no file"]);
    fs::write(home.path().join("latin.seg"), b"//! caf\xe9\n").unwrap();
    said(&["run", "latin.seg"]).fails(2, &["not UTF-8", "byte 7 (line 1)"]);
    fs::write(home.path().join("huge.seg"), "let a = 1\n".repeat(1_000_000)).unwrap();
    said(&["run", "huge.seg"]).fails(2, &["huge.seg", "bytes"]);
    fs::write(home.path().join("picture.seg"), b"\x89PNG\r\n\x1a\n\0\0\0").unwrap();
    said(&["run", "picture.seg"]).fails(2, &["not UTF-8"]);
    fs::write(home.path().join("deep.seg"), format!("let a = {}1{}", "(".repeat(10_000), ")".repeat(10_000))).unwrap();
    said(&["run", "deep.seg"]).fails(2, &["deep.seg"]);
}

#[test]
fn check_tells_faults_of_all_files_at_once() {
    let home = home();
    fs::write(home.path().join("bad.seg"), "parm size = 3\nlet a = nothing_known\n").unwrap();
    fs::write(home.path().join("latin.seg"), b"\xe9").unwrap();
    let said = segc(home.path(), &["check", "good.seg", "bad.seg", "latin.seg"]);
    assert_eq!(said.code, Some(1));
    for text in ["parm", "nothing_known", "not UTF-8", "3 specs checked"] {
        assert!(said.out.contains(text), "{text:?} is not said:\n{}", said.out);
    }
    let said = segc(home.path(), &["check", "good.seg", "missing.seg"]);
    assert_eq!(said.code, Some(2));
    segc(home.path(), &["check", "good.seg"]).succeeds();
}

#[test]
fn check_speaks_json() {
    let home = home();
    fs::write(home.path().join("bad.seg"), "let a = nothing_known\n").unwrap();
    let said = segc(home.path(), &["check", "bad.seg", "good.seg", "--format", "json"]);
    assert_eq!(said.code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert!(report["errors"].as_u64().unwrap() >= 1);
    assert_eq!(report["faults"][0]["places"][0]["line"], 1);
    let none: serde_json::Value = serde_json::from_str(&segc(home.path(), &["check", "good.seg", "--format", "json"]).out).unwrap();
    assert_eq!(none["faults"].as_array().map(Vec::len), Some(0));
}

#[test]
fn modules_stay_in_their_package() {
    let home = tempfile::tempdir().unwrap();
    let package = home.path().join("outer/package");
    fs::create_dir_all(&package).unwrap();
    fs::write(home.path().join("secret.seg"), "let s = 1\n").unwrap();
    fs::write(package.join("climbs.seg"), "use \"../../secret.seg\" as s\n").unwrap();
    fs::write(package.join("round.seg"), "use \"./trip.seg\" as t\n").unwrap();
    fs::write(package.join("trip.seg"), "use \"./round.seg\" as r\n").unwrap();
    fs::write(package.join("lost.seg"), "use \"./tripp.seg\" as t\n").unwrap();
    for (spec, text) in [("climbs.seg", "secret.seg"), ("round.seg", "trip.seg"), ("lost.seg", "trip.seg")] {
        let said = segc(&package, &["check", spec]);
        assert_eq!(said.code, Some(1), "{spec}: {}", said.out);
        assert!(said.out.contains(text), "{spec}: {}", said.out);
    }
}

#[test]
fn every_shipped_spec_checks() {
    segc(&repository(), &["check", "specs"]).succeeds();
}

#[test]
fn specs_and_library_are_formatted() {
    segc(&repository(), &["fmt", "--check", "specs", "stdlib", "src/commands/new.seg"]).succeeds();
}

#[test]
fn fmt_changes_files_in_place_and_check_changes_nothing() {
    let home = home();
    let path = home.path().join("good.seg");
    let formatted = fs::read_to_string(&path).unwrap();
    let loose = formatted.replace("let x = images.image", "let   x =   images.image   ");
    assert_ne!(loose, formatted);
    fs::write(&path, &loose).unwrap();
    let said = segc(home.path(), &["fmt", "--check", "."]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("good.seg"));
    assert_eq!(fs::read_to_string(&path).unwrap(), loose);
    segc(home.path(), &["fmt", "good.seg"]).succeeds();
    assert_eq!(fs::read_to_string(&path).unwrap(), formatted);
    fs::write(home.path().join("bad.seg"), "let a = (\n").unwrap();
    segc(home.path(), &["fmt", "bad.seg"]).fails(1, &["bad.seg"]);
    assert_eq!(fs::read_to_string(home.path().join("bad.seg")).unwrap(), "let a = (\n");
}

#[test]
fn new_overwrites_nothing() {
    let home = home();
    segc(home.path(), &["new", "good"]).fails(2, &["exists already"]);
    segc(home.path(), &["new", "3d"]).fails(2, &["begin with a letter"]);
    segc(home.path(), &["new", "good.seg/inner"]).fails(6, &["cannot write"]);
    segc(home.path(), &["new", "other.seg"]).succeeds();
    assert!(home.path().join("other.seg").is_file());
}

#[test]
fn explain_and_ops_tell() {
    let list = segc(&repository(), &["explain"]);
    list.succeeds();
    let first = list.out.split_whitespace().next().unwrap().to_string();
    let page = segc(&repository(), &["explain", &first]);
    page.succeeds();
    assert!(page.out.contains(&first) && page.out.lines().count() > 5);
    segc(&repository(), &["explain", &format!("{first}x")]).fails(2, &["Did you mean", &first]);
    let ops = segc(&repository(), &["ops"]);
    ops.succeeds();
    let facts = |name: &str| ops.out.lines().skip_while(|line| !line.starts_with(name)).nth(1).unwrap_or_default().trim().to_owned();
    let second = if cfg!(feature = "dfdx") { ", dfdx" } else { "" };
    assert_eq!(facts("multiply "), format!("cpu fused, reference{second}; derivatives of every order; rounded"));
    assert_eq!(facts("gather "), format!("cpu alone, reference{second}; derivatives of every order; exact"));
    assert_eq!(facts("less "), format!("cpu fused, reference{second}; no derivative: a comparison is a step; exact"));
    assert!(facts("sum ").ends_with("approximate") && facts("resample ").ends_with("exact or approximate"));
}

#[cfg(feature = "dfdx")]
#[test]
fn what_dfdx_cannot_run_is_named_with_its_place() {
    let home = home();
    let spec = "data images = pictures() |> resize(8)\n\n\
        let rows = order(mean(images.image, over: [channel, width]), along: height)\n\
        eval places over images.test = mean(rows)\n";
    fs::write(home.path().join("sorted.seg"), spec).unwrap();
    let said = segc(home.path(), &["run", "sorted.seg", "--on", "dfdx", "--out", "a"]);
    said.fails(2, &["dfdx cannot run the op `order`", "sorted.seg:3", "--on cpu", "--on reference"]);
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_segc")).arg("ops").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let said = Said::of(child.wait_with_output().unwrap());
    assert!(said.err.is_empty(), "{}", said.err);
}
