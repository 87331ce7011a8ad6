//! Random graphs: no two live buffers overlap, whatever the plan shares; derivatives made in one pass are those made one by one.

mod drawn;

use segc_compiler::kernel::{Kernel, Over, Place};
use segc_compiler::{NodeId, Program, differentiate, fuse, plan, simplify};

/// Elements of each buffer that a kernel writes.
fn written(program: &Program) -> Vec<Vec<(usize, usize)>> {
    let list = |kernel: &Kernel| match kernel {
        Kernel::Whole(whole) => vec![(whole.result.0, whole.result.1.iter().product())],
        Kernel::Loop(body) => body
            .effects
            .iter()
            .map(|effect| match effect {
                segc_compiler::kernel::Effect::Store(_, access) => (access.place, body.space.iter().product()),
                segc_compiler::kernel::Effect::Reduce { result, over, .. } => match over {
                    Over::All => (*result, 1),
                    Over::Rows => (*result, body.space[0]),
                    Over::Columns => (*result, body.space[0] * body.space[1]),
                },
            })
            .collect(),
    };
    let arena = |(place, size): (Place, usize)| match place {
        Place::Arena(at) => Some((at, size)),
        Place::Input(_) | Place::Result(_) => None,
    };
    program.kernels.iter().map(|kernel| list(kernel).into_iter().filter_map(arena).collect()).collect()
}

#[test]
fn no_two_live_buffers_overlap() {
    for seed in 0..10_000 {
        let graph = simplify(&drawn::random(seed));
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

#[test]
fn derivatives_of_one_pass_are_those_of_many() {
    for seed in 0..300 {
        let mut graph = drawn::random(seed);
        let last = graph.outputs[0].1;
        let total = graph.sum(last, &(0..graph.shape(last).len()).collect::<Vec<_>>());
        let list: Vec<NodeId> = graph.ids().take_while(|id| *id < total).filter(|id| graph.shape(*id) == graph.shape(last)).collect();
        let together = differentiate::derivatives(&mut graph, total, &list);
        let nodes = graph.len();
        let apart: Vec<NodeId> = list.iter().map(|x| differentiate::derivative(&mut graph, total, *x)).collect();
        assert_eq!((together, nodes), (apart, graph.len()), "seed {seed}");
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
