//! Graphs from a seed, with ops of loops and ops that run alone.

use std::sync::Arc;

use segc_compiler::build::Leaf;
use segc_compiler::kernel::{Slide, Tap, Window};
use segc_compiler::ops::{
    Abs, Add, Concat, Conv2d, Dot, Embed, Gather, Input, MaxPool, Maximum, Multiply, Permute, Resample, Reshape, Scatter, Shift, Slice,
    Stencil, Sum,
};
use segc_compiler::rows::rows;
use segc_compiler::{Graph, NodeId};
use segc_lang::spec::{AxisMap, Outside};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % below
    }
}

/// A graph of two inputs of one shape, which its two outputs have too.
pub fn random(seed: u64) -> Graph {
    let mut dice = Dice(seed.wrapping_mul(2) + 1);
    let mut graph = Graph::default();
    let shape = [vec![6, 5], vec![3, 6, 5], vec![2, 6, 6, 5]][dice.roll(3)].clone();
    let mut nodes: Vec<NodeId> = (0..2).map(|_| input(&mut graph, &shape)).collect();
    for _ in 0..4 + dice.roll(20) {
        let a = nodes[dice.roll(nodes.len())];
        let b = nodes[dice.roll(nodes.len())];
        let made = match dice.roll(14) {
            choice @ 0..7 => joined(&mut graph, choice, a, b, &mut dice),
            _ => alone(&mut graph, a, b, &mut dice),
        };
        assert_eq!((graph.fault(), graph.shape(made)), (None, &shape[..]));
        nodes.push(made);
    }
    let last = nodes[nodes.len() - 1];
    let other = nodes[dice.roll(nodes.len())];
    graph.outputs = vec![("last".into(), last), ("other".into(), other)];
    graph
}

fn input(graph: &mut Graph, shape: &[usize]) -> NodeId {
    let number = graph.leaves.len();
    graph.leaves.push(Leaf::Field(number, "x".into()));
    graph.add(Arc::new(Input { number, shape: shape.to_vec() }), &[])
}

/// What loops compute, of the shape of both values.
fn joined(graph: &mut Graph, choice: usize, a: NodeId, b: NodeId, dice: &mut Dice) -> NodeId {
    let shape = graph.shape(a).to_vec();
    let rank = shape.len();
    match choice {
        0 => graph.pair(Arc::new(Add), a, b),
        1 => graph.pair(Arc::new(Multiply), a, b),
        2 => graph.pair(Arc::new(Maximum), a, b),
        3 => graph.add(Arc::new(Abs), &[a]),
        4 => {
            let (down, right) = (dice.roll(3) as isize - 1, dice.roll(3) as isize - 1);
            graph.add(Arc::new(Stencil { taps: vec![Tap { down, right, weight: 0.5 }] }), &[a])
        }
        5 => {
            let total = graph.add(Arc::new(Sum { over: (0..rank).collect() }), &[a]);
            graph.times(b, total)
        }
        _ => {
            let total = graph.add(Arc::new(Sum { over: vec![rank - 2, rank - 1] }), &[a]);
            let kept: Vec<_> = (0..rank - 2).collect();
            let spread = graph.expand(total, &shape, &kept);
            graph.minus(a, spread)
        }
    }
}

/// What runs alone, of the shape of both values.
fn alone(graph: &mut Graph, a: NodeId, b: NodeId, dice: &mut Dice) -> NodeId {
    let shape = graph.shape(a).to_vec();
    let rank = shape.len();
    let (axis, pictures) = (dice.roll(rank), shape[..rank - 2].iter().product());
    let reshaped = |graph: &mut Graph, x, shape: &[usize]| graph.add(Arc::new(Reshape { shape: shape.to_vec() }), &[x]);
    match dice.roll(10) {
        0 => {
            let (by, pad) = (dice.roll(5) as isize - 2, dice.roll(3) as isize);
            let maps = [AxisMap::Reverse, AxisMap::Roll(by), AxisMap::Pad { before: pad, after: -pad, with: Outside::Edge }];
            let map = rows(&maps[dice.roll(3)], shape[axis], shape[axis]);
            graph.add(Arc::new(Resample::new(axis, map)), &[a])
        }
        1 => {
            let turned = graph.add(Arc::new(Permute { order: (0..rank).rev().collect() }), &[a]);
            reshaped(graph, turned, &shape)
        }
        2 => {
            let part = graph.add(Arc::new(Slice { axis, from: 1, size: shape[axis] - 1 }), &[a]);
            graph.add(Arc::new(Embed { axis, from: dice.roll(2), size: shape[axis] }), &[part])
        }
        3 => {
            let front = graph.add(Arc::new(Slice { axis, from: 0, size: 1 }), &[a]);
            let rest = graph.add(Arc::new(Slice { axis, from: 1, size: shape[axis] - 1 }), &[b]);
            graph.add(Arc::new(Concat { axis }), &[rest, front])
        }
        4 => {
            let index = graph.sum(b, &(1..rank).collect::<Vec<_>>());
            graph.add(Arc::new(Gather { batch: 0 }), &[a, index])
        }
        5 => {
            let index = graph.sum(b, &(1..rank).collect::<Vec<_>>());
            graph.add(Arc::new(Scatter { batch: 0, size: shape[0] }), &[a, index])
        }
        6 => {
            let by = graph.sum(b, &[rank - 2, rank - 1]);
            graph.add(Arc::new(Shift { batch: rank - 2 }), &[a, by, by])
        }
        7 => graph.add(Arc::new(MaxPool { window: Window { size: [3, 3], stride: [1, 1], pad: [1; 4] } }), &[a]),
        8 => {
            let x = reshaped(graph, a, &[pictures, 1, shape[rank - 2], shape[rank - 1]]);
            let total = graph.sum(b, &(0..rank).collect::<Vec<_>>());
            let w = graph.expand(total, &[1, 1, 3, 3], &[]);
            let slide = Slide { stride: [1, 1], pad: [1; 4], dilation: [1, 1], input_dilation: [1, 1], groups: 1, turned: false };
            let y = graph.add(Arc::new(Conv2d(slide)), &[x, w]);
            reshaped(graph, y, &shape)
        }
        _ => {
            let own = |last: &str| [&b"xyz"[..rank - 2], last.as_bytes()].concat();
            let gram = graph.add(Arc::new(Dot { a: own("ij"), b: own("kj"), result: own("ik") }), &[a, b]);
            graph.add(Arc::new(Dot { a: own("ik"), b: own("kj"), result: own("ij") }), &[gram, a])
        }
    }
}
