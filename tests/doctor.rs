//! `segc doctor`, and runs on a card, beside a stand-in for one (`runtime/tests/card/stand_in`), and where there is none.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::path::Path;

use beside::beside;
use serde_json::Value;
use support::{Said, home, segc};

#[path = "support/beside.rs"]
mod beside;
mod support;

fn json(said: &Said) -> Value {
    said.succeeds();
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn the_doctor_says_what_there_is_on_any_machine() {
    let home = tempfile::tempdir().unwrap();
    let text = segc(home.path(), &["doctor"]);
    text.succeeds();
    for word in ["processor", "threads", "memory", "NVIDIA driver", "NVRTC", "cuBLASLt", "cuDNN", "Programs run on"] {
        assert!(text.out.contains(word), "{word} is not said:\n{}", text.out);
    }
    let found = json(&segc(home.path(), &["doctor", "--json"]));
    assert!(found["processor"]["threads"].as_u64().unwrap() > 0);
    assert!(found["nvidia"]["usable"].is_boolean());
    // Nothing was made on the way.
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn without_a_card_it_is_said_what_was_looked_for_and_nothing_is_written() {
    let home = home();
    if json(&segc(home.path(), &["doctor", "--json"]))["nvidia"]["usable"] == true {
        println!("skipped: there is a card");
        return;
    }
    let said = segc(home.path(), &["run", "good.seg", "--on", "cuda", "--out", "run"]);
    said.fails(6, &["no NVIDIA card can be used", "segc doctor", "--on auto"]);
    segc(home.path(), &["sweep", "good.seg", "--variants", "none", "--on", "cuda", "--out", "run"]).fails(6, &["segc doctor"]);
    assert!(!home.path().join("run").exists());
    let said = segc(home.path(), &["run", "good.seg", "--on", "auto", "--out", "run", "--stop-after", "1"]);
    said.succeeds();
    assert!(said.err.contains("computing on the processor: "), "{}", said.err);
}

#[test]
fn a_precision_is_for_cards() {
    let home = home();
    segc(home.path(), &["run", "good.seg", "--precision", "tf32"]).fails(2, &["--on cuda"]);
    segc(home.path(), &["run", "good.seg", "--no-libs"]).fails(2, &["--no-libs", "--on cuda"]);
    segc(home.path(), &["run", "good.seg", "--on", "cuda", "--precision", "f64"]).fails(2, &["f32", "tf32", "bf16"]);
}

#[test]
fn the_doctor_sees_a_card() {
    let home = tempfile::tempdir().unwrap();
    let Some(text) = beside(home.path(), &["doctor"], &[]) else { return };
    text.succeeds();
    let card = "Stand-in 0, 1.0 GiB, 1.0 GiB free, compute capability 9.0";
    for word in ["CUDA 13.0", "libcuda.so", "13.1.1", "libcublasLt.so", "9.10.2", "libcudnn.so", card, "`--on cuda`"] {
        assert!(text.out.contains(word), "{word} is not said:\n{}", text.out);
    }
    let found = json(&beside(home.path(), &["doctor", "--json"], &[("SEGC_MOCK_CARDS", "2")]).unwrap());
    assert_eq!(found["nvidia"]["usable"], true);
    assert_eq!(found["nvidia"]["cards"].as_array().unwrap().len(), 2);
    assert_eq!(found["nvidia"]["cards"][1]["card"]["capability"], serde_json::json!([9, 0]));
    let old = beside(home.path(), &["doctor"], &[("SEGC_MOCK_VERSION", "11080")]).unwrap();
    old.succeeds();
    assert!(old.out.contains("the driver is of CUDA 11.8, and 12.0 or a newer one is needed"), "{}", old.out);
    assert!(old.out.contains("Programs run on the processor"), "{}", old.out);
}

/// Names and values of the figures of a run.
fn figures(run: &Path) -> Vec<(String, f64)> {
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(run.join("summary.json")).unwrap()).unwrap();
    let number = |(name, value): (&String, &Value)| Some((name.clone(), value.as_f64()?));
    summary["metrics"].as_object().unwrap().iter().filter_map(number).collect()
}

#[test]
fn a_training_on_a_card_finds_what_the_processor_finds() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("tiny.seg"), include_str!("run/tiny.seg")).unwrap();
    let words = ["run", "tiny.seg", "--threads", "1", "--out"];
    let Some(said) = beside(home.path(), &[&words[..], &["card", "--on", "cuda"]].concat(), &[]) else { return };
    said.succeeds();
    assert!(said.err.contains("computing on the card: Stand-in 0, with cuBLASLt 13.1.1 and cuDNN 9.10.2"), "{}", said.err);
    segc(home.path(), &[&words[..], &["cpu"]].concat()).succeeds();
    let (card, cpu) = (figures(&home.path().join("card")), figures(&home.path().join("cpu")));
    assert!(!cpu.is_empty());
    for ((name, a), (_, b)) in card.iter().zip(&cpu) {
        assert!((a - b).abs() < 1e-3, "{name} is {a} on the card and {b} on the processor");
    }
    // The device is part of what makes two runs the same.
    let other = beside(home.path(), &[&words[..], &["card", "--on", "cuda", "--precision", "bf16"]].concat(), &[]).unwrap();
    other.fails(2, &["the device is \"cuda\" there and \"cuda, bf16\" here"]);
    let other = beside(home.path(), &[&words[..], &["card", "--on", "cuda", "--no-libs"]].concat(), &[]).unwrap();
    other.fails(2, &["the device is \"cuda\" there and \"cuda, no libraries\" here"]);
    // `auto` takes the card, and finds its run done.
    let same = beside(home.path(), &[&words[..], &["card", "--on", "auto"]].concat(), &[]).unwrap();
    same.succeeds();
    assert!(same.err.contains("complete"), "{}", same.err);
}

#[test]
fn a_run_of_a_card_is_applied_by_the_processor_where_there_is_none() {
    let home = home();
    std::fs::create_dir(home.path().join("photos")).unwrap();
    for number in 0..2u32 {
        let bright = |x: u32, y: u32| (4 + number..12).contains(&x) && (5..11).contains(&y);
        let photo = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([if bright(x, y) { 220 } else { 20 + x as u8 }, 90, 60 + y as u8]));
        photo.save(home.path().join(format!("photos/{number}.png"))).unwrap();
    }
    let words = ["run", "good.seg", "--on", "cuda", "--set", "photos=photos", "--set", "size=16", "--out", "model", "--quiet"];
    let Some(said) = beside(home.path(), &words, &[]) else { return };
    said.succeeds();
    let told = "a card computed the run, and the processor does this";
    let here = beside(home.path(), &["segment", "model", "photos", "--out", "card"], &[]).unwrap();
    here.succeeds();
    assert!(!here.err.contains(told), "{}", here.err);
    let elsewhere = beside(home.path(), &["segment", "model", "photos", "--out", "cpu"], &[("SEGC_MOCK_CARDS", "0")]).unwrap();
    elsewhere.succeeds();
    assert!(elsewhere.err.contains(told), "{}", elsewhere.err);
    for name in ["0.mask.png", "1.mask.png"] {
        let mask = |folder: &str| image::open(home.path().join(folder).join(name)).unwrap().to_luma8();
        let (card, cpu) = (mask("card"), mask("cpu"));
        assert!(card.as_raw().iter().zip(cpu.as_raw()).all(|(a, b)| a.abs_diff(*b) <= 1), "{name} differs");
        assert!(card.as_raw() == image::open(home.path().join("model/masks").join(name.replace(".mask", ""))).unwrap().to_luma8().as_raw());
    }
}
