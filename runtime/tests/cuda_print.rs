//! Programs printed as CUDA C, compiled as C and run on this machine: they compute what the definitions say, whatever the order of threads
//! and blocks, and draw the bits that the cpu draws.

#[path = "../../compiler/tests/drawn/mod.rs"]
mod drawn;

mod card;

use card::{Card, Placed, has_compiler, needs_host};
use segc_compiler::build::Leaf;
use segc_compiler::kernel::Chance;
use segc_compiler::kernel::{Kernel, Place, Slide};
use segc_compiler::ops::{
    Conv2d, Derivative, Dot, Draws, Exactness, Form, Input, Op, Permute, Random, Sample, Scatter, Softplus, Sum, TABLE,
};
use segc_compiler::plan::finish;
use segc_compiler::{Graph, NodeId, Program, differentiate, fuse, plan, simplify};
use segc_runtime::execute::cuda::print::{Precision, Printed, common, copy, printed};
use segc_runtime::execute::{Cpu, Device, Reference};
use segc_runtime::selftest::Far;
use segc_runtime::selftest::ops::graph;
use segc_runtime::selftest::sample::operands;
use std::sync::Arc;

/// A program that waits to be run, with what it must give.
struct Case {
    what: String,
    placed: Placed,
    truth: Vec<Vec<f32>>,
    tolerance: f32,
}

/// Equal, or near each other measured by the largest element: what cancels to little carries the rounding of what was large.
fn close(what: &str, ours: &[Vec<f32>], theirs: &[Vec<f32>], tolerance: f32) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        let largest = theirs.iter().filter(|x| x.is_finite()).fold(1.0f32, |largest, x| largest.max(x.abs()));
        let theirs: Vec<f64> = theirs.iter().map(|x| f64::from(*x)).collect();
        let far = Far::of(ours, &theirs, f64::from(2.0 * tolerance * largest));
        assert!(!far.is_wrong(), "{what}: {far}, the largest is {largest}");
    }
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

#[test]
fn draws_have_the_bits_of_the_cpu() {
    if is_missing() {
        return;
    }
    let mut bench = Bench::default();
    let beta = |a: f64, b: f64| Chance::Beta(a.to_bits(), b.to_bits());
    let integers = [Chance::Integer(7), Chance::Integer((1 << 63) + 1), Chance::Permutation];
    for (number, chance) in [Chance::Normal, Chance::Uniform, beta(0.4, 0.4), beta(2.0, 5.0)].into_iter().chain(integers).enumerate() {
        let random = Random { chance, path: format!("images.draw.{number}"), shape: vec![9, 211] };
        let op: Arc<dyn Op> = Arc::new(random);
        let sample = Sample { op, operands: vec![(vec![8], Draws::Whole(1 << 16)), (vec![5, 2], Draws::Whole(1 << 16))] };
        let (graph, inputs) = (graph(&sample, 0), single(&sample));
        let program = plan(&fuse(&graph, true));
        let truth = outputs(&Cpu::default(), program.clone(), &inputs);
        bench.add(format!("{chance:?}"), &program, &printed(&program, Precision::F32), &inputs, truth, 0.0);
    }
    bench.run();
}

fn input(graph: &mut Graph, shape: &[usize]) -> NodeId {
    let number = graph.leaves.len();
    graph.leaves.push(Leaf::Field(number, "x".into()));
    graph.add(Arc::new(Input { number, shape: shape.to_vec() }), &[])
}

/// `x + sum(y)`, which is written over x.
fn raised() -> Program {
    let mut graph = Graph::default();
    let (x, y) = (input(&mut graph, &[3, 50]), input(&mut graph, &[40]));
    let total = graph.sum(y, &[0]);
    let total = graph.expand(total, &[3, 50], &[]);
    let made = graph.plus(x, total);
    graph.outputs = vec![("x".into(), made)];
    let program = finish(graph, true, &[Some(0)]);
    assert_eq!((program.over.as_slice(), program.last), (&[Some(0)][..], program.kernels.len() - 1));
    program
}

#[test]
fn what_is_not_finite_leaves_results_over_inputs_as_they_were() {
    if is_missing() {
        return;
    }
    let (mut card, program) = (Card::default(), raised());
    let text = printed(&program, Precision::F32);
    assert_eq!(text.guards.len(), 1);
    let x: Vec<f32> = (0..150).map(|i| i as f32).collect();
    let with = |value: f32| vec![x.clone(), (0..40).map(|i| if i == 17 { value } else { 1.0 }).collect()];
    let placed = [1.0, f32::NAN, f32::INFINITY].map(|value| card.add(&program, &text, &with(value)));
    let folder = tempfile::tempdir().expect("a folder");
    let memory = card.run(folder.path());
    for (number, placed) in placed.iter().enumerate() {
        let (at, size) = placed.outputs[0];
        let raised = if number == 0 { 40.0 } else { 0.0 };
        assert!(memory[at..at + size].iter().zip(&x).all(|(made, x)| *made == x + raised), "case {number}");
        assert_eq!(memory[placed.flag].to_bits(), u32::from(number > 0));
    }
}

#[test]
fn copies_are_held_by_the_flag() {
    if is_missing() {
        return;
    }
    let mut card = Card::default();
    let program = raised();
    card.learn(&Printed { source: common(&[300, 5]), ..printed(&program, Precision::F32) });
    let from: Vec<f32> = (0..300).map(|i| i as f32).collect();
    let (from, to, held) = (card.holding(&from), card.holding(&[-1.0; 300]), card.holding(&[-1.0; 5]));
    let [fine, wrong] = [card.holding(&[0.0]), card.holding(&[f32::from_bits(1)])];
    card.call(&copy(300), vec![fine, from, to]);
    card.call(&copy(5), vec![wrong, from, held]);
    let folder = tempfile::tempdir().expect("a folder");
    let memory = card.run(folder.path());
    assert_eq!((memory[to], memory[to + 299], memory[held]), (0.0, 299.0, -1.0));
}

#[test]
fn products_read_their_operands_as_precisely_as_they_are_told() {
    if is_missing() {
        return;
    }
    let tf32 = |x: f32| f32::from_bits((x.to_bits() + 0x1000) & 0xffff_e000);
    let bf16 = |x: f32| f32::from_bits((x.to_bits() + 0x7fff + (x.to_bits() >> 16 & 1)) & 0xffff_0000);
    let roundings: [(Precision, &dyn Fn(f32) -> f32); 2] = [(Precision::Tf32, &tf32), (Precision::Bf16, &bf16)];
    for (precision, rounded) in roundings {
        let mut bench = Bench::default();
        for (sample, _) in large().into_iter().take(7) {
            let inputs = single(&sample);
            let program = plan(&fuse(&graph(&sample, 0), true));
            let exact: Vec<Vec<f32>> = inputs.iter().map(|x| x.iter().map(|x| rounded(*x)).collect()).collect();
            let truth = outputs(&Cpu::default(), program.clone(), &exact);
            bench.add(format!("{precision:?} {sample:?}"), &program, &printed(&program, precision), &inputs, truth, 4e-6);
        }
        bench.run();
    }
}

/// The kernels of a program without what stands before all of them.
fn kernels(program: &Program) -> String {
    let text = printed(program, Precision::F32);
    let kernels = text.source.split_once("\n// kernel").map(|(_, kernels)| format!("// kernel{kernels}"));
    let acts: Vec<String> = text.acts.iter().map(|act| format!("{act:?}")).collect();
    format!("{}\n{}\n{:?}", kernels.unwrap_or_default(), acts.join("\n"), text.guards)
}

#[test]
fn printed_programs_look_like_this() {
    insta::assert_snapshot!("over_an_input", kernels(&raised()));
    let mut graph = Graph::default();
    let (x, w) = (input(&mut graph, &[2, 3, 6, 5]), input(&mut graph, &[4, 3, 3, 3]));
    let slide = Slide { stride: [2, 1], pad: [1, 0, 1, 1], dilation: [1, 1], input_dilation: [1, 1], groups: 1, turned: false };
    let made = graph.add(Arc::new(Conv2d(slide)), &[x, w]);
    let made = graph.add(Arc::new(Softplus), &[made]);
    let total = graph.sum(made, &[2, 3]);
    graph.outputs = vec![("total".into(), total)];
    insta::assert_snapshot!("convolution", kernels(&finish(graph, true, &[])));
}
