//! Random graphs and their derivatives: the cpu gives what the definitions give, simplified or not, fused or not.

#[path = "../../compiler/tests/drawn/mod.rs"]
mod drawn;

use segc_compiler::plan::finish;
use segc_compiler::{Graph, NodeId, Program, differentiate, fuse, plan, simplify};
use segc_runtime::execute::{Cpu, Device, Reference};

/// A random graph with the derivative of its last value's sum by its first input, and values of its inputs.
fn case(seed: u64) -> (Graph, Vec<Vec<f32>>) {
    let mut graph = drawn::random(seed);
    let (x, last) = (NodeId::new(0), graph.outputs[0].1);
    let total = graph.sum(last, &(0..graph.shape(last).len()).collect::<Vec<_>>());
    let slope = differentiate::derivative(&mut graph, total, x);
    graph.outputs.push(("slope".into(), slope));
    assert_eq!(graph.fault(), None, "seed {seed}");
    let count: usize = graph.shape(x).iter().product();
    let wave = |input: usize| (0..count).map(|i| 0.5 * ((i * 7 + input * 5) as f32 * 0.37).sin()).collect();
    (graph, vec![wave(0), wave(1)])
}

fn run(device: &dyn Device, graph: &Graph, fused: bool, values: &[Vec<f32>]) -> Vec<Vec<f32>> {
    outputs(device, plan(&fuse(graph, fused)), values)
}

fn outputs(device: &dyn Device, program: Program, values: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let ready = device.prepare(program).expect("prepared");
    let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let mut scratch = ready.scratch();
    ready.run(&inputs, &mut scratch).expect("run");
    scratch.outputs
}

/// The largest difference, measured by the largest element.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    let most = theirs.iter().fold(1.0f32, |most, x| most.max(x.abs()));
    let one = |(a, b): (&f32, &f32)| match (a - b).abs() / most {
        _ if a == b || a.is_nan() && b.is_nan() => 0.0,
        apart if apart.is_nan() => f32::INFINITY,
        apart => apart,
    };
    ours.iter().zip(theirs).map(one).fold(0.0, f32::max)
}

#[test]
fn the_cpu_agrees_with_the_definitions() {
    let (cpu, reference) = (Cpu::default(), Reference);
    for seed in 0..600 {
        let (graph, values) = case(seed);
        let simple = simplify(&graph);
        let truth = run(&reference, &graph, false, &values);
        let made = [
            ("simplified", run(&reference, &simple, false, &values)),
            ("fused", run(&cpu, &simple, true, &values)),
            ("unfused", run(&cpu, &simple, false, &values)),
            ("not simplified", run(&cpu, &graph, true, &values)),
        ];
        for (how, outputs) in made {
            let worst = outputs.iter().zip(&truth).map(|(a, b)| difference(a, b)).fold(0.0, f32::max);
            assert!(worst < 1e-4, "seed {seed}, {how}: {worst}");
        }
    }
}

#[test]
fn fused_and_unfused_give_the_same_bits() {
    let (cpu, two_threads) = (Cpu::default(), Cpu::new(2).expect("two threads"));
    let poisoned = two_threads.clone().poisoned();
    let bits = |outputs: Vec<Vec<f32>>| outputs.into_iter().flatten().map(f32::to_bits).collect::<Vec<u32>>();
    for seed in 0..10_000 {
        let drawn = drawn::random(seed);
        let graph = simplify(&drawn);
        let count: usize = graph.leaves.len();
        let elements: usize = graph.shape(NodeId::new(0)).iter().product();
        let wave = |input: usize| (0..elements).map(|i| 0.5 * ((i * 7 + input * 5) as f32 * 0.37).sin()).collect();
        let values: Vec<Vec<f32>> = (0..count).map(wave).collect();
        let fused = bits(run(&cpu, &graph, true, &values));
        assert_eq!(fused, bits(run(&cpu, &graph, false, &values)), "seed {seed}");
        assert_eq!(fused, bits(run(&two_threads, &graph, true, &values)), "seed {seed}: two threads");
        let in_place = finish(drawn, true, &vec![None; graph.outputs.len()]);
        assert_eq!(fused, bits(outputs(&poisoned, in_place, &values)), "seed {seed}: results and operands written over");
    }
}
