//! Programs printed as CUDA C, compiled as C and run on this machine: they compute what the definitions say, whatever the order of threads
//! and blocks, and draw the bits that the cpu draws.

#[path = "../../compiler/tests/drawn/mod.rs"]
mod drawn;

mod card;
mod support;

use card::{Card, Placed, has_compiler, needs_host};
use segc_compiler::kernel::{Kernel, Place, Slide};
use segc_compiler::ops::{Conv2d, Derivative, Dot, Draws, Exactness, Form, Op, Permute, Sample, Scatter, Sum, TABLE};
use segc_compiler::plan::finish;
use segc_compiler::{Graph, NodeId, Program, differentiate, fuse, plan, simplify};
use segc_runtime::execute::cuda::print::{Precision, Printed, printed};
use segc_runtime::execute::{Cpu, Device, Reference};
use std::sync::Arc;
use support::{close, graph, operands};

/// A program that waits to be run, with what it must give.
struct Case {
    what: String,
    placed: Placed,
    truth: Vec<Vec<f32>>,
    tolerance: f32,
}

/// What is run together.
#[derive(Default)]
struct Bench {
    card: Card,
    cases: Vec<Case>,
}

impl Bench {
    fn add(&mut self, what: String, program: &Program, printed: &Printed, inputs: &[Vec<f32>], truth: Vec<Vec<f32>>, tolerance: f32) {
        let placed = self.card.add(program, printed, inputs);
        self.cases.push(Case { what, placed, truth, tolerance });
    }

    fn run(&self) {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = self.card.run(folder.path());
        for case in &self.cases {
            let made: Vec<Vec<f32>> = case.placed.outputs.iter().map(|(at, size)| memory[*at..at + size].to_vec()).collect();
            close(&case.what, &made, &case.truth, case.tolerance);
        }
    }
}

fn outputs(device: &dyn Device, program: Program, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let ready = device.prepare(program).expect("prepared");
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut scratch = ready.scratch();
    ready.run(&inputs, &mut scratch).expect("run");
    scratch.outputs
}

fn is_missing() -> bool {
    let missing = !has_compiler();
    if missing {
        println!("skipped: there is no `cc`");
    }
    missing
}

fn single(sample: &Sample) -> Vec<Vec<f32>> {
    operands(sample).iter().map(|x| x.data.iter().map(|v| *v as f32).collect()).collect()
}

/// Whether all that the host does in a program must be done by it.
fn only_the_host_can(program: &Program) -> bool {
    let alone = |kernel: &Kernel| match kernel {
        Kernel::Whole(whole) => matches!(whole.op.form(), Form::Host(..)) || ["orthonormal", "order"].contains(&whole.op.name()),
        Kernel::Loop(_) => false,
    };
    program.kernels.iter().any(alone)
}

#[test]
fn every_op_computes_what_its_definition_says() {
    if is_missing() {
        return;
    }
    let mut bench = Bench::default();
    let mut of_the_host = 0;
    for entry in TABLE {
        for sample in (entry.samples)() {
            let inputs = single(&sample);
            let orders = if sample.op.derivative() == Derivative::Every { 3 } else { 1 };
            for order in 0..orders {
                let plain = graph(&sample, order);
                let truth = outputs(&Reference, plan(&fuse(&plain, false)), &inputs);
                let simple = simplify(&differentiate(&plain));
                let same_bits = order == 0 && sample.op.form().exactness() < Exactness::Approximate;
                let draws = matches!(sample.op.form(), Form::Random(..));
                let tolerance = if same_bits || draws { 0.0 } else { [2e-6, 2e-5, 2e-4][order] };
                for fused in [true, false] {
                    let program = plan(&fuse(&simple, fused));
                    let text = printed(&program, Precision::F32);
                    if needs_host(&text) {
                        assert!(only_the_host_can(&program), "{}: the host does what a card could", entry.name);
                        of_the_host += 1;
                        continue;
                    }
                    let what = format!("{} {sample:?} order {order}, fused: {fused}", entry.name);
                    bench.add(what, &program, &text, &inputs, truth.clone(), tolerance);
                }
            }
        }
    }
    println!("{} programs, {of_the_host} more that need the host", bench.cases.len());
    assert!(bench.cases.len() > 500 && of_the_host < 30);
    bench.run();
}

/// A random graph with the derivative of its last value's sum by its first input, and values of its inputs.
fn random(seed: u64) -> (Graph, Vec<Vec<f32>>) {
    let mut graph = drawn::random(seed);
    let (x, last) = (NodeId::new(0), graph.outputs[0].1);
    let total = graph.sum(last, &(0..graph.shape(last).len()).collect::<Vec<_>>());
    let slope = differentiate::derivative(&mut graph, total, x);
    graph.outputs.push(("slope".into(), slope));
    let count: usize = graph.shape(x).iter().product();
    let wave = |input: usize| (0..count).map(|i| 0.5 * ((i * 7 + input * 5) as f32 * 0.37).sin()).collect();
    (graph, vec![wave(0), wave(1)])
}

#[test]
fn random_graphs_agree_with_the_cpu_also_where_they_write_over_operands() {
    if is_missing() {
        return;
    }
    let (mut bench, cpu) = (Bench::default(), Cpu::default());
    for seed in 0..120 {
        let (graph, inputs) = random(seed);
        let simple = simplify(&graph);
        let truth = outputs(&cpu, plan(&fuse(&simple, true)), &inputs);
        // Results in rooms of their own, and the first over the first input.
        for (how, replaces) in [("placed", vec![None; 3]), ("over", vec![Some(0), None, None])] {
            let program = finish(graph.clone(), true, &replaces);
            if program.outputs.iter().zip(&program.over).any(|((_, place, _), over)| over.is_none() && *place == Place::Input(0))
                && how == "over"
            {
                // An output that is the input itself reads what was written over it.
                continue;
            }
            let text = printed(&program, Precision::F32);
            bench.add(format!("seed {seed}, {how}"), &program, &text, &inputs, truth.clone(), 1e-4);
        }
    }
    bench.run();
}

/// An op on inputs of some sizes.
fn sample(op: impl Op + 'static, shapes: &[&[usize]]) -> Sample {
    Sample { op: Arc::new(op), operands: shapes.iter().map(|shape| (shape.to_vec(), Draws::Signed)).collect() }
}

/// Products, convolutions, reductions and moves of sizes at which they are shared out.
fn large() -> Vec<(Sample, usize)> {
    let dot = |a: &str, b: &str, result: &str| Dot { a: a.into(), b: b.into(), result: result.into() };
    let plain = Slide { stride: [1, 1], pad: [1; 4], dilation: [1, 1], input_dilation: [1, 1], groups: 1, turned: false };
    let two = Slide { stride: [2, 2], ..plain };
    vec![
        (sample(dot("ij", "jk", "ik"), &[&[70, 37], &[37, 90]]), 2),
        (sample(dot("ij", "kj", "ki"), &[&[100, 530], &[30, 530]]), 1),
        (sample(dot("bij", "bjk", "bik"), &[&[2, 40, 33], &[2, 33, 50]]), 1),
        (sample(dot("ij", "j", "i"), &[&[300, 400], &[400]]), 1),
        (sample(dot("ij", "ij", ""), &[&[70, 900], &[70, 900]]), 1),
        (sample(dot("ij", "jk", "ik"), &[&[12, 65], &[65, 300]]), 1),
        (sample(Conv2d(plain), &[&[2, 20, 9, 11], &[24, 20, 3, 3]]), 2),
        (sample(Conv2d(two), &[&[3, 16, 16, 16], &[40, 16, 3, 3]]), 2),
        (sample(Conv2d(plain), &[&[2, 40, 12, 12], &[3, 40, 3, 3]]), 1),
        (sample(Conv2d(Slide { groups: 2, ..plain }), &[&[2, 32, 8, 8], &[48, 16, 3, 3]]), 1),
        (sample(Conv2d(Slide { groups: 24, ..plain }), &[&[2, 24, 9, 9], &[24, 1, 3, 3]]), 1),
        (sample(Sum { over: vec![0, 1] }, &[&[300, 257]]), 1),
        (sample(Sum { over: vec![0] }, &[&[3000, 5]]), 1),
        (sample(Sum { over: vec![0, 2] }, &[&[20, 3, 700]]), 1),
        (sample(Sum { over: vec![1] }, &[&[7, 2500]]), 1),
        (sample(Permute { order: vec![2, 0, 1] }, &[&[9, 33, 70]]), 0),
        (sample(Permute { order: vec![0, 3, 1, 2] }, &[&[2, 9, 11, 40]]), 0),
    ]
}

#[test]
fn large_ops_are_shared_out() {
    if is_missing() {
        return;
    }
    let mut bench = Bench::default();
    let mut names = String::new();
    for (sample, orders) in large() {
        for order in 0..=orders.min(1) {
            let inputs = single(&sample);
            let graph = simplify(&differentiate(&graph(&sample, order)));
            let program = plan(&fuse(&graph, true));
            let truth = outputs(&Cpu::default(), program.clone(), &inputs);
            let text = printed(&program, Precision::F32);
            names += &text.source;
            bench.add(format!("{sample:?} order {order}"), &program, &text, &inputs, truth, [4e-6, 4e-5][order]);
        }
    }
    let indices = Sample {
        op: Arc::new(Scatter { batch: 1, size: 300 }),
        operands: vec![(vec![3, 2000, 2], Draws::Signed), (vec![3, 2000], Draws::Whole(301))],
    };
    let (graph, inputs) = (graph(&indices, 0), single(&indices));
    let program = plan(&fuse(&graph, true));
    let truth = outputs(&Cpu::default(), program.clone(), &inputs);
    let text = printed(&program, Precision::F32);
    names += &text.source;
    bench.add("scatter".into(), &program, &text, &inputs, truth, 0.0);
    for kind in ["sync_tiles", "parts", "sync_dot", "product", "sync_loop_reduce", "join", "sync_reduce", "sync_turn", "links", "heads"] {
        assert!(names.contains(&format!("// kernel {kind}_")), "{kind} is not tested");
    }
    bench.run();
}
