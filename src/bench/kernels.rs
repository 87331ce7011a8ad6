//! Single kernels: programs that are built op by op, not from a spec.

use std::sync::Arc;
use std::time::{Duration, Instant};

use segc_compiler::build::Leaf;
use segc_compiler::kernel::Slide;
use segc_compiler::{Graph, NodeId, Program, ops, plan};
use segc_runtime::execute::{Cpu, Device};
use segc_runtime::session::On;

use super::{Case, Measured};

/// Batch, channels in, channels out, side, kernel, stride: the commonest of the methods' networks.
const SHAPES: [[usize; 6]; 20] = [
    [16, 3, 16, 32, 3, 1],
    [16, 16, 16, 32, 3, 1],
    [16, 16, 32, 32, 3, 1],
    [16, 32, 32, 16, 3, 1],
    [16, 32, 64, 16, 3, 1],
    [16, 64, 64, 8, 3, 1],
    [16, 64, 96, 8, 3, 1],
    [16, 96, 96, 4, 3, 1],
    [16, 64, 32, 16, 1, 1],
    [16, 32, 16, 32, 1, 1],
    [4, 512, 512, 8, 3, 1],
    [4, 512, 512, 16, 3, 1],
    [4, 512, 512, 32, 3, 1],
    [4, 512, 256, 64, 3, 1],
    [2, 64, 128, 128, 3, 1],
    [2, 256, 512, 16, 3, 1],
    [2, 512, 1024, 8, 3, 1],
    [16, 16, 16, 64, 3, 1],
    [16, 64, 64, 16, 3, 1],
    [2, 16, 32, 128, 3, 2],
];

/// Time that is given to a case.
const PATIENCE: Duration = Duration::from_millis(300);

/// Every convolution forward, and both of its gradients.
pub fn convolutions(on: On, threads: usize) -> Result<Measured, String> {
    let mut cases = Vec::new();
    for [batch, from, to, side, kernel, stride] in SHAPES {
        let mut graph = Graph::default();
        let x = input(&mut graph, &[batch, from, side, side]);
        let w = input(&mut graph, &[to, from, kernel, kernel]);
        let pad = ((kernel - 1) / 2) as isize;
        let slide = Slide { stride: [stride; 2], pad: [pad; 4], dilation: [1; 2], input_dilation: [1; 2], groups: 1, turned: false };
        let y = graph.add(Arc::new(ops::Conv2d(slide)), &[x, w]);
        let shape = graph.shape(y).to_vec();
        let g = input(&mut graph, &shape);
        let product = graph.times(y, g);
        let loss = graph.sum(product, &[0, 1, 2, 3]);
        let slopes = [x, w].map(|by| graph.add(Arc::new(ops::Grad), &[loss, by]));
        graph.outputs = vec![("y".into(), y), ("dx".into(), slopes[0]), ("dw".into(), slopes[1])];
        cases.push(case(format!("{batch}x{from}->{to} {side}x{side} k{kernel} s{stride}"), graph, on, threads, None)?);
    }
    Ok(all(cases))
}

/// A product of matrices of a side, and a copy of so many numbers; small ones for a processor.
pub fn ceiling(on: On, threads: usize) -> Result<Measured, String> {
    let (side, numbers) = if matches!(on, On::Cuda(_)) { (8192, 1 << 26) } else { (1024, 1 << 24) };
    let mut graph = Graph::default();
    let (a, b) = (input(&mut graph, &[side, side]), input(&mut graph, &[side, side]));
    let y = graph.add(Arc::new(ops::Dot { a: vec![0, 1], b: vec![1, 2], result: vec![0, 2] }), &[a, b]);
    graph.outputs = vec![("y".into(), y)];
    let product = case("product".into(), graph, on, threads, None)?;
    let mut graph = Graph::default();
    let x = input(&mut graph, &[numbers]);
    let y = graph.scaled(x, 2.0);
    graph.outputs = vec![("y".into(), y)];
    Ok(all(vec![product, case("copy".into(), graph, on, threads, Some(8 * numbers))?]))
}

/// Chains and norms over `[16, 64, 64, 64]`.
pub fn streams(on: On, threads: usize) -> Result<Measured, String> {
    const SHAPE: [usize; 4] = [16, 64, 64, 64];
    let elements = SHAPE.iter().product::<usize>();
    let mut cases = Vec::new();

    let mut graph = Graph::default();
    let x = input(&mut graph, &SHAPE);
    let [a, b, c, d] = [(); 4].map(|()| {
        let channels = input(&mut graph, &[64]);
        graph.expand(channels, &SHAPE, &[1])
    });
    let scaled = graph.times(x, a);
    let moved = graph.plus(scaled, b);
    let bent = leaky(&mut graph, moved);
    let again = graph.times(bent, c);
    let y = graph.plus(again, d);
    graph.outputs = vec![("y".into(), y)];
    cases.push(case("chain".into(), graph, on, threads, Some(8 * elements))?);

    let mut graph = Graph::default();
    let x = input(&mut graph, &SHAPE);
    let y = standardised(&mut graph, x, &SHAPE);
    graph.outputs = vec![("y".into(), y)];
    cases.push(case("instance_norm".into(), graph, on, threads, Some(8 * elements))?);

    let mut graph = Graph::default();
    let [w, m, v, g] = [(); 4].map(|()| input(&mut graph, &[elements]));
    let outputs = adam(&mut graph, [w, m, v, g]);
    graph.outputs = outputs;
    cases.push(case("adam".into(), graph, on, threads, Some(28 * elements))?);

    let mut graph = Graph::default();
    let (x, g) = (input(&mut graph, &SHAPE), input(&mut graph, &SHAPE));
    let y = leaky(&mut graph, x);
    let product = graph.times(y, g);
    let loss = graph.sum(product, &[0, 1, 2, 3]);
    let slope = graph.add(Arc::new(ops::Grad), &[loss, x]);
    graph.outputs = vec![("y".into(), y), ("dx".into(), slope)];
    cases.push(case("lrelu_backward".into(), graph, on, threads, Some(16 * elements))?);
    Ok(all(cases))
}

fn input(graph: &mut Graph, shape: &[usize]) -> NodeId {
    graph.leaves.push(Leaf::Field(0, format!("input {}", graph.leaves.len())));
    graph.add(Arc::new(ops::Input { number: graph.leaves.len() - 1, shape: shape.to_vec() }), &[])
}

fn leaky(graph: &mut Graph, x: NodeId) -> NodeId {
    let small = graph.scaled(x, 0.2);
    graph.pair(Arc::new(ops::Maximum), x, small)
}

fn standardised(graph: &mut Graph, x: NodeId, shape: &[usize]) -> NodeId {
    let count = 1.0 / (shape[2] * shape[3]) as f64;
    let mean = |graph: &mut Graph, x: NodeId| {
        let sum = graph.sum(x, &[2, 3]);
        let mean = graph.scaled(sum, count);
        graph.expand(mean, shape, &[0, 1])
    };
    let middle = mean(graph, x);
    let centred = graph.minus(x, middle);
    let squares = graph.times(centred, centred);
    let variance = mean(graph, squares);
    let eps = graph.filled(1e-5, shape);
    let above = graph.plus(variance, eps);
    let deviation = graph.add(Arc::new(ops::Sqrt), &[above]);
    graph.over(centred, deviation)
}

fn adam(graph: &mut Graph, [w, m, v, g]: [NodeId; 4]) -> Vec<(String, NodeId)> {
    let mixed = |graph: &mut Graph, old: NodeId, new: NodeId, beta: f64| {
        let kept = graph.scaled(old, beta);
        let added = graph.scaled(new, 1.0 - beta);
        graph.plus(kept, added)
    };
    let m = mixed(graph, m, g, 0.9);
    let squares = graph.times(g, g);
    let v = mixed(graph, v, squares, 0.999);
    let root = graph.add(Arc::new(ops::Sqrt), &[v]);
    let eps = graph.number(1e-8);
    let below = graph.plus(root, eps);
    let step = graph.over(m, below);
    let step = graph.scaled(step, 1e-3);
    let next = graph.minus(w, step);
    [("w", next), ("m", m), ("v", v)].map(|(name, id)| (name.to_owned(), id)).to_vec()
}

/// The mean of the runs that fit into [`PATIENCE`], at least three; on a card inputs lie there already. `bytes`: the least traffic that
/// the result needs.
fn case(name: String, graph: Graph, on: On, threads: usize, bytes: Option<usize>) -> Result<Case, String> {
    let results = vec![None; graph.outputs.len()];
    let program = plan::finish(graph, true, &results);
    let cost = program.cost();
    let sizes = program.inputs.iter().map(|(_, shape)| shape.iter().product::<usize>());
    let values: Vec<Vec<f32>> = sizes.map(|size| (0..size).map(|i| (i as f32 * 0.37).sin().abs() + 0.1).collect()).collect();
    let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let mean = match on {
        On::Cuda(cuda) => cuda.pace(program, &inputs, PATIENCE).map_err(|error| error.to_string())?.as_secs_f64(),
        _ => on_processor(program, &inputs, threads)?,
    };
    Ok(Case { name, ms: 1e3 * mean, flop: cost.flop as f64, bytes: bytes.map_or(cost.bytes as f64, |bytes| bytes as f64) })
}

/// Mean seconds of the runs that fit into [`PATIENCE`], at least three.
fn on_processor(program: Program, inputs: &[&[f32]], threads: usize) -> Result<f64, String> {
    let ready = Cpu::new(threads)?.prepare(program).map_err(|error| error.to_string())?;
    let mut scratch = ready.scratch();
    ready.run(inputs, &mut scratch)?;
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < 3 || begin.elapsed() < PATIENCE {
        let start = Instant::now();
        ready.run(inputs, &mut scratch)?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(times.iter().sum::<f64>() / times.len() as f64)
}

fn all(cases: Vec<Case>) -> Measured {
    let sum = |of: fn(&Case) -> f64| cases.iter().map(of).sum();
    let mb = crate::console::peak_memory().map_or(0.0, |bytes| bytes as f64 / 1e6);
    Measured { ms: sum(|case| case.ms), flop: sum(|case| case.flop), bytes: sum(|case| case.bytes), mb, cases, ..Measured::default() }
}
