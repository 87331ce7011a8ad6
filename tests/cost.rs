//! `segc check --cost`: what it counts is what a run takes.
#![allow(clippy::unwrap_used)]

use std::fs;

use support::{home, segc};

mod support;

/// Two updates of one network, one of them now and then; memory is mostly workspace.
const SPEC: &str = "use std::mask, std::unet
data images = pictures() |> resize(64) |> chunk(0, of: 64) |> range(-1, 1)
model F = unet::segmenter(widths: [8, 16, 16])

let x = images.image
loss bright = mask::cross_entropy(F(x), indicator(x[channel: 0] >= 0))
loss small  = mean(F(x)^2)

train learn for 3 steps, batch 64 {
    update F by bright with adam(1e-3)
    every 2 steps { update F by small with adam(1e-3) }
    ema F decay 0.9
}
eval area over images = mean(F(x))
";

#[test]
fn the_peak_is_within_a_tenth_of_the_measured_one() {
    let home = home();
    fs::write(home.path().join("cost.seg"), SPEC).unwrap();
    let said = segc(home.path(), &["check", "cost.seg", "--cost", "--format", "json"]);
    said.succeeds();
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let costs = &report["costs"][0];
    let phase = &costs["phases"][0];
    assert_eq!((phase["name"].as_str(), phase["steps"].as_u64(), phase["batch"].as_u64()), (Some("learn"), Some(3), Some(64)));
    let turns: Vec<_> =
        phase["turns"].as_array().unwrap().iter().map(|turn| (turn["name"].as_str().unwrap(), turn["per_step"].as_f64())).collect();
    assert_eq!(turns, [("bright", Some(1.0)), ("small", Some(0.5)), ("ema", Some(1.0))]);
    let planned = costs["peak_bytes"].as_f64().unwrap() / 1e6;

    let ran = segc(home.path(), &["run", "cost.seg", "--threads", "1", "--out", "out"]);
    ran.succeeds();
    // The first such line is of the training; other systems than Linux do not say.
    let Some(measured) = ran.err.split("at most ").nth(1).and_then(|rest| rest.split(" MB").next()?.parse::<f64>().ok()) else { return };
    println!("planned {planned:.0} MB, measured {measured:.0} MB");
    assert!((planned / measured - 1.0).abs() < 0.1, "planned {planned:.0} MB, measured {measured:.0} MB");
}

#[test]
fn costs_are_tables_for_people() {
    let home = home();
    fs::write(home.path().join("cost.seg"), SPEC).unwrap();
    let said = segc(home.path(), &["check", "cost.seg", "--cost"]);
    said.succeeds();
    for text in ["phase learn: 3 steps of 64", "bright -> F", "a step on average", "workspace", "peak memory"] {
        assert!(said.out.contains(text), "{text} is not in\n{}", said.out);
    }
    let summary = segc(home.path(), &["show", "summary", "cost.seg"]);
    summary.succeeds();
    assert!(summary.out.contains("out: 8, channel: 3, row: 3, column: 3"), "{}", summary.out);
}

#[test]
fn the_updates_of_phases_can_be_shown() {
    let home = home();
    fs::write(home.path().join("cost.seg"), SPEC).unwrap();
    let said = segc(home.path(), &["show", "program", "cost.seg"]);
    said.succeeds();
    for text in ["// phase learn, bright", "// phase learn, small", "// outputs and evaluations"] {
        assert!(said.out.contains(text), "{text} is not shown");
    }
    let said = segc(home.path(), &["show", "cuda", "cost.seg"]);
    said.succeeds();
    for text in ["// phase learn, bright", "KERNEL(256) ", "// Launches", "// guard  segc_guard <", "arena 0"] {
        assert!(said.out.contains(text), "{text} is not shown");
    }
}

#[test]
fn data_that_is_missing_is_named() {
    let home = home();
    fs::write(home.path().join("cost.seg"), SPEC.replace("pictures()", "pictures(\"nowhere\")")).unwrap();
    segc(home.path(), &["check", "cost.seg", "--cost"]).fails(3, &["nowhere"]);
}
