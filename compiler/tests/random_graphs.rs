//! Random graphs: no two live buffers overlap, whatever the plan shares.

use std::sync::Arc;

use segc_compiler::build::Leaf;
use segc_compiler::kernel::{Kernel, Place, Tap};
use segc_compiler::ops::{Abs, Add, Input, Maximum, Multiply, Stencil, Sum};
use segc_compiler::{Graph, NodeId, Program, fuse, plan, simplify};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % below
    }
}

fn random(seed: u64) -> Graph {
    let mut dice = Dice(seed.wrapping_mul(2) + 1);
    let mut graph = Graph::default();
    let shape = [vec![6, 5], vec![3, 6, 5], vec![2, 6, 6, 5]][dice.roll(3)].clone();
    let mut nodes: Vec<NodeId> = (0..2)
        .map(|number| {
            graph.leaves.push(Leaf::Field(number, "x".into()));
            graph.add(Arc::new(Input { number, shape: shape.clone() }), &[])
        })
        .collect();
    for _ in 0..4 + dice.roll(20) {
        let a = nodes[dice.roll(nodes.len())];
        let b = nodes[dice.roll(nodes.len())];
        let made = match dice.roll(7) {
            0 => graph.pair(Arc::new(Add), a, b),
            1 => graph.pair(Arc::new(Multiply), a, b),
            2 => graph.pair(Arc::new(Maximum), a, b),
            3 => graph.add(Arc::new(Abs), &[a]),
            4 => {
                let (down, right) = (dice.roll(3) as isize - 1, dice.roll(3) as isize - 1);
                graph.add(Arc::new(Stencil { taps: vec![Tap { down, right, weight: 0.5 }] }), &[a])
            }
            5 => {
                let rank = shape.len();
                let total = graph.add(Arc::new(Sum { over: (0..rank).collect() }), &[a]);
                graph.times(b, total)
            }
            _ => {
                let rank = shape.len();
                let total = graph.add(Arc::new(Sum { over: vec![rank - 2, rank - 1] }), &[a]);
                let kept: Vec<_> = (0..rank - 2).collect();
                let spread = graph.expand(total, &shape, &kept);
                graph.minus(a, spread)
            }
        };
        nodes.push(made);
    }
    let last = nodes[nodes.len() - 1];
    let other = nodes[dice.roll(nodes.len())];
    graph.outputs = vec![("last".into(), last), ("other".into(), other)];
    graph
}

/// Elements of each buffer that a kernel writes.
fn written(program: &Program) -> Vec<Vec<(usize, usize)>> {
    let list = |kernel: &Kernel| match kernel {
        Kernel::Whole(whole) => vec![(whole.result.0, whole.result.1.iter().product())],
        Kernel::Loop(body) => body
            .effects
            .iter()
            .map(|effect| match effect {
                segc_compiler::kernel::Effect::Store(_, access) => (access.place, body.space.iter().product()),
                segc_compiler::kernel::Effect::Reduce { result, each, .. } => (*result, if *each { body.space[0] } else { 1 }),
            })
            .collect(),
    };
    let arena = |(place, size): (Place, usize)| match place {
        Place::Arena(at) => Some((at, size)),
        Place::Input(_) => None,
    };
    program.kernels.iter().map(|kernel| list(kernel).into_iter().filter_map(arena).collect()).collect()
}

#[test]
fn no_two_live_buffers_overlap() {
    for seed in 0..2000 {
        let graph = simplify(&random(seed));
        for fused in [true, false] {
            let program = plan(&fuse(&graph, fused));
            let writes = written(&program);
            // Every buffer from the kernel that writes it to the last one that reads its first element before it is written again.
            for (time, buffers) in writes.iter().enumerate() {
                for &(at, size) in buffers {
                    let end = last_use(&program, &writes, time, at);
                    for (later, others) in writes.iter().enumerate().take(end.saturating_add(1)).skip(time) {
                        for &(other, length) in others {
                            let same = later == time && other == at;
                            assert!(same || other >= at + size || at >= other + length, "seed {seed}: kernels {time} and {later}");
                        }
                    }
                }
            }
        }
    }
}

fn last_use(program: &Program, writes: &[Vec<(usize, usize)>], written: usize, at: usize) -> usize {
    let again = (written + 1..writes.len()).find(|time| writes[*time].iter().any(|(other, _)| *other == at));
    let outputs = again.is_none() && program.outputs.iter().any(|(_, place, _)| *place == Place::Arena(at));
    if outputs {
        return writes.len();
    }
    let until = again.unwrap_or(writes.len());
    (written + 1..until.min(writes.len())).rev().find(|time| program.kernels[*time].reads().contains(&Place::Arena(at))).unwrap_or(written)
}
