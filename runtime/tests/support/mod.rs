//! What tests of executors share: a sample's operands, the graph of an op, its values by definition.
#![allow(dead_code)]

use std::sync::Arc;

use segc_compiler::build::Leaf;
use segc_compiler::ops::{Cos, Draws, Form, Input, Iota, Sample, Sum};
use segc_compiler::tensor::Tensor;
use segc_compiler::{Graph, NodeId};

/// Numbers from a counter, the same in every run.
fn element(draws: Draws, seed: u64) -> f64 {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let unit = (x ^ (x >> 31)) as f64 / u64::MAX as f64;
    let real = match draws {
        Draws::Positive => 0.2 + 1.6 * unit,
        Draws::Signed => 4.0 * unit - 2.0,
        Draws::Truth => f64::from(unit < 0.5),
        Draws::Whole(below) => (unit * below as f64).floor().min(below as f64 - 1.0),
    };
    f64::from(real as f32)
}

/// The operands of a sample.
pub fn operands(sample: &Sample) -> Vec<Tensor> {
    let tensor = |(number, (shape, draws)): (usize, &(Vec<usize>, Draws))| {
        let count = shape.iter().product::<usize>() as u64;
        Tensor::new(shape.clone(), (0..count).map(|i| element(*draws, i * 7 + number as u64 * 1009 + count)).collect())
    };
    sample.operands.iter().enumerate().map(tensor).collect()
}

/// The op of a sample on inputs: the graph, the inputs, the result.
pub fn applied(sample: &Sample) -> (Graph, Vec<NodeId>, NodeId) {
    let mut graph = Graph::default();
    let inputs: Vec<NodeId> = sample
        .operands
        .iter()
        .enumerate()
        .map(|(number, (shape, _))| {
            graph.leaves.push(Leaf::Field(number, String::new()));
            graph.add(Arc::new(Input { number, shape: shape.clone() }), &[])
        })
        .collect();
    let y = graph.add(sample.op.clone(), &inputs);
    (graph, inputs, y)
}

/// The elements summed up, each by a weight of its own.
pub fn weighted_sum(graph: &mut Graph, y: NodeId) -> NodeId {
    let shape = graph.shape(y).to_vec();
    let mut weighted = y;
    // A cosine over the elements: no symmetry that could hide a wrong axis.
    for axis in 0..shape.len() {
        let place = graph.add(Arc::new(Iota { size: shape[axis] }), &[]);
        let one = graph.number(1.0 + axis as f64);
        let place = graph.plus(place, one);
        let wave = graph.add(Arc::new(Cos), &[place]);
        let wave = graph.expand(wave, &shape, &[axis]);
        weighted = graph.times(weighted, wave);
    }
    if shape.is_empty() { weighted } else { graph.add(Arc::new(Sum { over: (0..shape.len()).collect() }), &[weighted]) }
}

/// The outputs by definition, in f64.
pub fn definition(graph: &Graph, values: &[Tensor]) -> Vec<Tensor> {
    let live = graph.live();
    let mut made: Vec<Option<Tensor>> = vec![None; graph.len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        let operands: Vec<&Tensor> = graph.operands(id).iter().filter_map(|o| made[o.index()].as_ref()).collect();
        made[id.index()] = Some(match node.op.form() {
            Form::Input(number) => values[number].clone(),
            _ => node.op.reference(&operands, &node.shape),
        });
    }
    graph.outputs.iter().filter_map(|(_, id)| made[id.index()].clone()).collect()
}

/// The op on inputs; with `order` 1 the derivatives of its weighted sum, with 2 those of the squared derivatives' sum.
pub fn graph(sample: &Sample, order: usize) -> Graph {
    let (mut graph, inputs, y) = applied(sample);
    if order == 0 {
        graph.outputs = vec![("y".into(), y)];
        return graph;
    }
    let mut goal = weighted_sum(&mut graph, y);
    for round in 1..=order {
        let smooth = |i: usize| matches!(sample.operands[i].1, Draws::Positive | Draws::Signed);
        let wanted: Vec<_> = (0..inputs.len()).filter(|i| smooth(*i)).map(|i| inputs[i]).collect();
        let slopes: Vec<_> = wanted.iter().map(|x| segc_compiler::differentiate::derivative(&mut graph, goal, *x)).collect();
        graph.outputs = slopes.iter().enumerate().map(|(i, slope)| (format!("d{i}"), *slope)).collect();
        if round < order {
            let mut total = graph.number(0.0);
            for slope in slopes {
                let square = graph.times(slope, slope);
                let part = weighted_sum(&mut graph, square);
                total = graph.plus(total, part);
            }
            goal = total;
        }
    }
    graph
}

/// Equal, or near each other measured by the largest element: what cancels to little carries the rounding of what was large.
pub fn close(what: &str, ours: &[Vec<f32>], theirs: &[Vec<f32>], tolerance: f32) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        let largest = theirs.iter().filter(|x| x.is_finite()).fold(1.0f32, |largest, x| largest.max(x.abs()));
        for (a, b) in ours.iter().zip(theirs) {
            let same = a == b || a.is_nan() && b.is_nan();
            assert!(same || (a - b).abs() <= 2.0 * tolerance * largest, "{what}: {a} instead of {b}, the largest is {largest}");
        }
    }
}
