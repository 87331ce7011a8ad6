//! Training where everything stays on a card, beside a stand-in for one (`runtime/tests/card/stand_in`): a step is one graph, which does
//! what its kernels do one by one, and what the processor does.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use beside::{beside, stand_in};
use safetensors::SafeTensors;
use support::{NOT_FINITE, segc};

#[path = "support/beside.rs"]
mod beside;
mod support;

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
    let run = |out: &str, steps: &str, more: &[&str]| {
        let words = ["run", spec, "--set", "batch_n=2", "--on", "cuda", "--stop-after", steps, "--out", out];
        beside(home.path(), &[&words[..], more].concat(), &[]).map(|said| said.succeeds())
    };
    if run("graphs", "4", &[]).is_none() {
        return;
    }
    let log = stand_in::log(home.path());
    let count = |line: &str| log.iter().filter(|own| *own == line).count();
    // Critic, generators and averages of the first step one by one, then all of them as one graph.
    assert_eq!((count("graph recorded"), count("graph launched")), (1, 3));
    run("single", "4", &["--no-graphs"]);
    let both = ["graphs", "single"].map(|run| tensors(&home.path().join(run)));
    assert!(both[0] == both[1], "replayed and launched one by one: {:?}", apart(&both[0], &both[1]));
    // Large convolutions are in the graph as cuDNN does them.
    let recorded = |what: &str| log.iter().any(|line| line.starts_with(&format!("record {what} ")));
    assert!(recorded("cudnn forward") && recorded("cudnn back"), "{log:?}");
    run("step", "1", &[]);
    run("own", "1", &["--no-libs"]);
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
    let Some(said) = beside(home.path(), &["run", spec, "--on", "cuda", "--out", "stays"], &[]) else { return };
    said.succeeds();
    // A run that is measured brings everything up and down around each program.
    let measured = beside(home.path(), &["run", spec, "--on", "cuda", "--profile", "--out", "travels"], &[]).unwrap();
    measured.succeeds();
    let [stays, travels] = ["stays", "travels"].map(|run| fs::read_to_string(home.path().join(run).join("metrics.jsonl")).unwrap());
    assert!(stays.lines().count() > 10 && stays == travels, "{stays}\n{travels}");
    let [stays, travels] = ["stays", "travels"].map(|run| tensors(&home.path().join(run)));
    assert!(stays == travels, "{:?}", apart(&stays, &travels));
}

#[test]
fn a_number_that_is_none_is_traced_to_its_op_on_a_card_too() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("nan.seg"), NOT_FINITE).unwrap();
    let words = ["run", "nan.seg", "--on", "cuda", "--out", "out"];
    let Some(said) = beside(home.path(), &words, &[]) else { return };
    said.fails(5, &["not-finite", "`log` made NaN", "phase down, step 2, `gap`", "nan.seg:7"]);
}
