//! Every op of the table, by existing: cpu fused and unfused against the f64 definition, derivatives of first and second order against
//! finite differences and between the executors.

use segc_compiler::ops::{Derivative, Draws, Sample, TABLE};
use segc_compiler::tensor::Tensor;
use segc_runtime::execute::{Cpu, Device, Reference};
use segc_runtime::selftest::ops::{Case, graph, resized};
use segc_runtime::selftest::sample::{definition, operands};

fn run(device: &dyn Device, case: &Case, fused: bool) -> Vec<Vec<f32>> {
    case.run(device, &case.simple, fused).expect("run")
}

/// Asserts that results agree with the definitions.
fn close(case: &Case, how: &str, made: &[Vec<f32>]) {
    let all = case.far(made, 0.0);
    assert_eq!(all.len(), made.len(), "{}, {how}", case.name());
    all.iter().for_each(|far| assert!(!far.is_wrong(), "{}, {how}: {far}", case.name()));
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
    fn agree(&self, name: &'static str, sample: &Sample) -> usize {
        let cases = Case::all(name, sample).expect("the definition");
        for case in &cases {
            let what = case.name();
            close(case, "simplified", &run(&self.reference, case, false));
            close(case, "unsimplified on cpu", &case.run(&self.cpu, &case.plain, true).expect("run"));
            let fused = run(&self.cpu, case, true);
            close(case, "cpu", &fused);
            close(case, "portable", &run(&self.portable, case, true));
            assert_eq!(fused, run(&self.cpu, case, false), "{what}: fused and unfused differ in bits");
            assert_eq!(fused, run(&self.two_threads, case, true), "{what}: one and two threads differ in bits");
            assert_eq!(fused, run(&self.poisoned, case, true), "{what}: it reads what no kernel has left");
            assert_eq!(fused, run(&self.poisoned, case, false), "{what}: unfused it reads what no kernel has left");
        }
        cases.len()
    }
}

#[test]
fn every_op_agrees_with_its_definition_fused_and_unfused() {
    let judges = Judges::new();
    let cases: usize = TABLE.iter().flat_map(|entry| (entry.samples)().into_iter().map(|sample| judges.agree(entry.name, &sample))).sum();
    println!("{cases} cases");
    assert!(cases > 300);
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
