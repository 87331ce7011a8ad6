//! Every op of the table, by existing: cpu fused and unfused against the f64 definition, derivatives of first and second order against
//! finite differences and between the executors.

use segc_compiler::ops::{Derivative, Draws, Exactness, Sample, TABLE};
use segc_compiler::tensor::Tensor;
use segc_compiler::{Graph, differentiate, fuse, plan, simplify};
use segc_runtime::execute::{Cpu, Device, Reference};
use support::{close, definition, graph, operands};

mod support;

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

/// Executors that must agree.
struct Judges {
    cpu: Cpu,
    poisoned: Cpu,
    two_threads: Cpu,
    portable: Cpu,
    reference: Reference,
}

impl Judges {
    fn new() -> Judges {
        let two_threads = Cpu::new(2).expect("two threads");
        let (poisoned, portable) = (Cpu::default().poisoned(), Cpu::default().portable());
        Judges { cpu: Cpu::default(), poisoned, two_threads, portable, reference: Reference }
    }

    /// Values and derivatives of both orders of one sample.
    fn agree(&self, name: &str, sample: &Sample) -> usize {
        let orders = if sample.op.derivative() == Derivative::Every { 3 } else { 1 };
        let values = operands(sample);
        for order in 0..orders {
            let what = format!("{name} {sample:?} order {order}");
            let plain = graph(sample, order);
            let simple = simplify(&differentiate(&plain));
            let truth = run(&self.reference, &plain, false, &values);
            let same_bits = order == 0 && sample.op.form().exactness() < Exactness::Approximate;
            let tolerance = if same_bits { 0.0 } else { [2e-6, 2e-5, 2e-4][order] };
            close(&format!("{what}, simplified"), &run(&self.reference, &simple, false, &values), &truth, tolerance);
            close(&format!("{what}, unsimplified on cpu"), &run(&self.cpu, &plain, true, &values), &truth, tolerance);
            let fused = run(&self.cpu, &simple, true, &values);
            close(&format!("{what}, cpu"), &fused, &truth, tolerance);
            close(&format!("{what}, portable"), &run(&self.portable, &simple, true, &values), &truth, tolerance);
            assert_eq!(fused, run(&self.cpu, &simple, false, &values), "{what}: fused and unfused differ in bits");
            assert_eq!(fused, run(&self.two_threads, &simple, true, &values), "{what}: one and two threads differ in bits");
            assert_eq!(fused, run(&self.poisoned, &simple, true, &values), "{what}: it reads what no kernel has left");
            assert_eq!(fused, run(&self.poisoned, &simple, false, &values), "{what}: unfused it reads what no kernel has left");
        }
        orders
    }
}

#[test]
fn every_op_agrees_with_its_definition_fused_and_unfused() {
    let judges = Judges::new();
    let cases: usize = TABLE.iter().flat_map(|entry| (entry.samples)().into_iter().map(|sample| judges.agree(entry.name, &sample))).sum();
    println!("{cases} cases");
    assert!(cases > 300);
}

/// The sample with other sizes, equal ones staying equal, where the op takes them.
fn resized(sample: &Sample, seed: u64) -> Option<Sample> {
    let size = |old: &usize| 1 + (*old as u64 * 31 + seed * 17 + (seed * *old as u64) % 5) as usize % 9;
    let operands: Vec<_> = sample.operands.iter().map(|(shape, draws)| (shape.iter().map(size).collect::<Vec<_>>(), *draws)).collect();
    let shapes: Vec<&[usize]> = operands.iter().map(|(shape, _)| shape.as_slice()).collect();
    let made: usize = sample.op.shape(&shapes).ok()?.iter().product();
    (made > 0 && made < 3000).then(|| Sample { op: sample.op.clone(), operands })
}

#[test]
fn every_op_agrees_on_other_sizes_as_well() {
    let judges = Judges::new();
    let (mut cases, mut ops) = (0, Vec::new());
    for entry in TABLE {
        for (number, sample) in (entry.samples)().iter().enumerate() {
            for other in (0..4).filter_map(|round| resized(sample, 5 * number as u64 + round)) {
                cases += judges.agree(entry.name, &other);
                ops.push(entry.name);
            }
        }
    }
    ops.dedup();
    println!("{cases} cases of {} ops", ops.len());
    assert!(cases > 1000 && ops.len() > TABLE.len() * 3 / 4, "{cases} cases of {} ops of {}", ops.len(), TABLE.len());
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

/// What the derivatives of `order + 1` are derivatives of.
fn total(sample: &Sample, order: usize, values: &[Tensor]) -> f64 {
    let weight = |index: &[usize]| -> f64 { index.iter().enumerate().map(|(axis, i)| (1.0 + (axis + i) as f64).cos()).product() };
    let sum = |x: &Tensor, power: i32| -> f64 {
        segc_compiler::tensor::indices(&x.shape).zip(&x.data).map(|(index, v)| weight(&index) * v.powi(power)).sum()
    };
    let made = definition(&graph(sample, order), values);
    if order == 0 { sum(&made[0], 1) } else { made.iter().map(|slope| sum(slope, 2)).sum() }
}
