//! Training where everything stays on a card, beside a stand-in for one (`runtime/tests/card/stand_in`): a step is one graph, which does
//! what its kernels do one by one, and what the processor does.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use safetensors::SafeTensors;
use support::{Said, segc};

#[path = "../runtime/tests/card/stand_in/mod.rs"]
mod stand_in;
mod support;

/// Runs segc beside the stand-in; none where it cannot be built.
fn beside(home: &Path, words: &[&str], settings: &[(&str, &str)]) -> Option<Said> {
    let mut command = stand_in::beside(env!("CARGO_BIN_EXE_segc"), stand_in::libraries()?, home);
    command.args(words).envs(settings.iter().copied()).current_dir(home).stdin(Stdio::null());
    Some(Said::of(command.output().unwrap()))
}

/// All tensors of the last checkpoint of a run.
fn tensors(run: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = fs::read(run.join("checkpoints/last.safetensors")).unwrap();
    let values = |data: &[u8]| data.as_chunks().0.iter().map(|one| f32::from_le_bytes(*one)).collect();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    read.tensors().iter().map(|(name, tensor)| (name.clone(), values(tensor.data()))).collect()
}

/// How far tensors are from others, as a part of their length; the farthest.
fn apart(some: &BTreeMap<String, Vec<f32>>, others: &BTreeMap<String, Vec<f32>>) -> (f64, String) {
    assert!(some.keys().eq(others.keys()));
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let one = |(name, values): (&String, &Vec<f32>)| {
        let pairs = || values.iter().zip(&others[name]).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let [distance, size] = [length(&mut pairs().map(|(a, b)| a - b)), length(&mut pairs().map(|(_, b)| b))];
        (if distance == 0.0 { 0.0 } else { distance / size }, name.clone())
    };
    some.iter().map(one).fold((0.0, String::new()), |a, b| if b.0 > a.0 { b } else { a })
}

#[test]
fn a_whole_step_is_one_graph_and_equals_the_processor() {
    let home = tempfile::tempdir().unwrap();
    let spec = concat!(env!("CARGO_MANIFEST_DIR"), "/specs/perturbgan.seg");
    let run = |out: &str, steps: &str, more: &[&str], settings: &[(&str, &str)]| {
        let words = ["run", spec, "--set", "batch_n=2", "--on", "cuda", "--stop-after", steps, "--out", out];
        beside(home.path(), &[&words[..], more].concat(), settings).map(|said| said.succeeds())
    };
    if run("graphs", "4", &[], &[]).is_none() {
        return;
    }
    let log = stand_in::log(home.path());
    let count = |line: &str| log.iter().filter(|own| *own == line).count();
    // Critic, generators and averages of the first step one by one, then all of them as one graph.
    assert_eq!((count("graph recorded"), count("graph launched")), (1, 3));
    run("single", "4", &[], &[("SEGC_NO_GRAPHS", "1")]);
    let both = ["graphs", "single"].map(|run| tensors(&home.path().join(run)));
    assert!(both[0] == both[1], "replayed and launched one by one: {:?}", apart(&both[0], &both[1]));
    // Large convolutions are in the graph as cuDNN does them.
    let recorded = |what: &str| log.iter().any(|line| line.starts_with(&format!("record {what} ")));
    assert!(recorded("cudnn forward") && recorded("cudnn back"), "{log:?}");
    run("step", "1", &[], &[]);
    run("own", "1", &["--no-libs"], &[]);
    let words = ["run", spec, "--set", "batch_n=2", "--stop-after", "1", "--out", "processor"];
    segc(home.path(), &words).succeeds();
    for way in ["step", "own"] {
        let (farthest, name) = apart(&tensors(&home.path().join(way)), &tensors(&home.path().join("processor")));
        assert!(farthest < 1e-5, "{way}: {name} is {farthest:.1e} from that of the processor");
    }
}

/// Averages that begin late, a state that begins anew, pictures and figures in the midst of phases: all of it reads what a card changed.
#[test]
fn whatever_reads_the_state_finds_what_the_card_has_made() {
    let home = tempfile::tempdir().unwrap();
    let spec = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run/tiny.seg");
    let Some(said) = beside(home.path(), &["run", spec, "--on", "cuda", "--out", "card"], &[]) else { return };
    said.succeeds();
    segc(home.path(), &["run", spec, "--out", "processor"]).succeeds();
    let lines = |run: &str| -> Vec<serde_json::Value> {
        let text = fs::read_to_string(home.path().join(run).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (card, processor) = (lines("card"), lines("processor"));
    assert_eq!(card.len(), processor.len());
    for (own, other) in card.iter().zip(&processor) {
        near(own, other);
    }
}

/// The same but for numbers, which may differ in the third digit.
#[track_caller]
fn near(own: &serde_json::Value, other: &serde_json::Value) {
    use serde_json::Value;
    match (own, other) {
        (Value::Object(own), Value::Object(other)) => {
            assert!(own.keys().eq(other.keys()), "{own:?}\n{other:?}");
            own.values().zip(other.values()).for_each(|(own, other)| near(own, other));
        }
        (Value::Array(own), Value::Array(other)) => {
            assert_eq!(own.len(), other.len());
            own.iter().zip(other).for_each(|(own, other)| near(own, other));
        }
        (Value::Number(own), Value::Number(other)) => {
            let [own, other] = [own, other].map(|number| number.as_f64().unwrap());
            assert!((own - other).abs() <= 1e-3 * other.abs().max(1.0), "{own} is not {other}");
        }
        _ => assert_eq!(own, other),
    }
}

#[test]
fn a_number_that_is_none_is_traced_to_its_op_on_a_card_too() {
    let home = tempfile::tempdir().unwrap();
    let text = "data images = pictures(scenes: easy) |> resize(8)\n\
        net flat()(x: image) -> real {\n    weight w: real = 1\n    return w * mean(x)\n}\n\
        model m = flat()\n\
        loss gap = log(m(images.image) - 2 * step) + 0 * step\n\
        train down for 9 steps, batch 4 { update m by gap with sgd(0.1) }\n";
    fs::write(home.path().join("nan.seg"), text).unwrap();
    let words = ["run", "nan.seg", "--on", "cuda", "--out", "out"];
    let Some(said) = beside(home.path(), &words, &[]) else { return };
    said.fails(5, &["not-finite", "`log` made NaN", "phase down, step 2, `gap`", "nan.seg:7"]);
}
