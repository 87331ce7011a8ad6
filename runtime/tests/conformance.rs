//! Every op of the table, by existing: cpu fused and unfused against the f64 definition, derivatives of first and second order against
//! finite differences and between the executors.

use std::sync::Arc;

use segc_compiler::build::Leaf;
use segc_compiler::ops::{Derivative, Draws, Input, Sample, Sum, TABLE};
use segc_compiler::tensor::Tensor;
use segc_compiler::{Graph, NodeId, differentiate, fuse, plan, simplify};
use segc_runtime::execute::{Cpu, Device, Reference};

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

fn operands(sample: &Sample) -> Vec<Tensor> {
    let tensor = |(number, (shape, draws)): (usize, &(Vec<usize>, Draws))| {
        let count = shape.iter().product::<usize>() as u64;
        Tensor::new(shape.clone(), (0..count).map(|i| element(*draws, i * 7 + number as u64 * 1009 + count)).collect())
    };
    sample.operands.iter().enumerate().map(tensor).collect()
}

/// The op on inputs; with `order` 1 the derivatives of its weighted sum, with 2 those of the squared derivatives' sum.
fn graph(sample: &Sample, order: usize) -> Graph {
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

fn weighted_sum(graph: &mut Graph, y: NodeId) -> NodeId {
    let shape = graph.shape(y).to_vec();
    let mut weighted = y;
    // A cosine over the elements: no symmetry that could hide a wrong axis.
    for axis in 0..shape.len() {
        let place = graph.add(Arc::new(segc_compiler::ops::Iota { size: shape[axis] }), &[]);
        let one = graph.number(1.0 + axis as f64);
        let place = graph.plus(place, one);
        let wave = graph.add(Arc::new(segc_compiler::ops::Cos), &[place]);
        let wave = graph.expand(wave, &shape, &[axis]);
        weighted = graph.times(weighted, wave);
    }
    if shape.is_empty() { weighted } else { graph.add(Arc::new(Sum { over: (0..shape.len()).collect() }), &[weighted]) }
}

fn run(device: &dyn Device, graph: &Graph, fused: bool, operands: &[Tensor]) -> Vec<Vec<f32>> {
    let program = plan(&fuse(graph, fused));
    let ready = device.prepare(program).expect("prepared");
    let single: Vec<Vec<f32>> = operands.iter().map(|x| x.data.iter().map(|v| *v as f32).collect()).collect();
    // Inputs that fell away are bound as well.
    let inputs: Vec<&[f32]> = single.iter().map(Vec::as_slice).collect();
    let mut scratch = ready.scratch();
    ready.run(&inputs, &mut scratch).expect("run");
    scratch.outputs
}

fn close(what: &str, ours: &[Vec<f32>], theirs: &[Vec<f32>], tolerance: f32) {
    for (a, b) in ours.iter().flatten().zip(theirs.iter().flatten()) {
        let same = a == b || a.is_nan() && b.is_nan();
        assert!(same || (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs())), "{what}: {a} instead of {b}");
    }
}

#[test]
fn every_op_agrees_with_its_definition_fused_and_unfused() {
    let (cpu, reference) = (Cpu::default(), Reference);
    let mut cases = 0;
    for entry in TABLE {
        for sample in (entry.samples)() {
            let values = operands(&sample);
            for order in 0..3 {
                if order > 0 && sample.op.derivative() != Derivative::Every {
                    continue;
                }
                let what = format!("{} {:?} order {order}", entry.name, sample);
                let plain = graph(&sample, order);
                let simple = simplify(&differentiate(&plain));
                let truth = run(&reference, &plain, false, &values);
                let tolerance = [2e-6, 2e-5, 2e-4][order];
                close(&format!("{what}, simplified"), &run(&reference, &simple, false, &values), &truth, tolerance);
                close(&format!("{what}, unsimplified on cpu"), &run(&cpu, &plain, true, &values), &truth, tolerance);
                let fused = run(&cpu, &simple, true, &values);
                close(&format!("{what}, cpu"), &fused, &truth, tolerance);
                assert_eq!(fused, run(&cpu, &simple, false, &values), "{what}: fused and unfused differ in bits");
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 300);
}

#[test]
fn derivatives_agree_with_finite_differences() {
    for entry in TABLE {
        for sample in (entry.samples)() {
            if sample.op.derivative() != Derivative::Every {
                continue;
            }
            let mut values = operands(&sample);
            for order in 1..3 {
                let slopes = graph(&sample, order);
                let goal = |values: &[Tensor]| -> f64 { total(&sample, order - 1, values) };
                let wanted: Vec<usize> =
                    (0..values.len()).filter(|i| matches!(sample.operands[*i].1, Draws::Positive | Draws::Signed)).collect();
                let found = definition(&slopes, &values);
                for (slope, input) in found.iter().zip(wanted) {
                    for i in (0..values[input].data.len()).step_by(values[input].data.len().div_ceil(5)) {
                        let (x, h) = (values[input].data[i], 1e-5);
                        values[input].data[i] = x + h;
                        let above = goal(&values);
                        values[input].data[i] = x - h;
                        let below = goal(&values);
                        values[input].data[i] = x;
                        let difference = (above - below) / (2.0 * h);
                        let error = (slope.data[i] - difference).abs() / (1.0 + difference.abs());
                        assert!(error < 1e-6, "{} {sample:?} order {order}: {} instead of {difference}", entry.name, slope.data[i]);
                    }
                }
            }
        }
    }
}

/// The outputs by definition, in f64.
fn definition(graph: &Graph, values: &[Tensor]) -> Vec<Tensor> {
    let live = graph.live();
    let mut made: Vec<Option<Tensor>> = vec![None; graph.len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        let operands: Vec<&Tensor> = graph.operands(id).iter().filter_map(|o| made[o.index()].as_ref()).collect();
        made[id.index()] = Some(match node.op.form() {
            segc_compiler::ops::Form::Input(number) => values[number].clone(),
            _ => node.op.reference(&operands, &node.shape),
        });
    }
    graph.outputs.iter().filter_map(|(_, id)| made[id.index()].clone()).collect()
}

/// What the derivatives of `order + 1` are derivatives of.
fn total(sample: &Sample, order: usize, values: &[Tensor]) -> f64 {
    let weight = |index: &[usize]| -> f64 { index.iter().enumerate().map(|(axis, i)| (1.0 + (axis + i) as f64).cos()).product() };
    let sum = |x: &Tensor, power: i32| -> f64 {
        segc_compiler::tensor::indices(&x.shape).zip(&x.data).map(|(index, v)| weight(&index) * v.powi(power)).sum()
    };
    let made = definition(&graph(sample, order), values);
    if order == 0 { sum(&made[0], 1) } else { made.iter().map(|slope| sum(slope, 2)).sum() }
}
