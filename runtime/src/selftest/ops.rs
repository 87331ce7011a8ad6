//! Every op of the table on its samples: values and derivatives of first and second order on a device against the definitions.

use segc_compiler::ops::{Derivative, Draws, Exactness, Sample, TABLE};
use segc_compiler::tensor::Tensor;
use segc_compiler::{Graph, differentiate, fuse, plan, simplify};

use super::sample::{applied, operands, weighted_sum};
use super::{Far, Found, shared};
use crate::execute::{Device, Reference};
use crate::outcome::RunError;

/// How far results may be off in single precision, relative to the largest element and to 1 where all are small: values, first, second
/// derivatives.
pub const TOLERANCE: [f64; 3] = [4e-6, 4e-5, 4e-4];

/// One op on one sample in one order of derivatives, with what the definitions make of it.
pub struct Case {
    /// Name of the op.
    pub op: &'static str,
    /// 0: its values; 1: the derivatives of their weighted sum; 2: those of the sum of squared derivatives.
    pub order: usize,
    /// The computation as it is written.
    pub plain: Graph,
    /// The same, simplified.
    pub simple: Graph,
    /// Whether every executor makes the same bits of it.
    pub same_bits: bool,
    sample: Sample,
    operands: Vec<Tensor>,
    truth: Vec<Vec<f32>>,
}

impl Case {
    /// All orders of derivatives that an op has. Errors: its definition cannot be run.
    pub fn all(op: &'static str, sample: &Sample) -> Result<Vec<Case>, RunError> {
        let orders = if sample.op.derivative() == Derivative::Every { TOLERANCE.len() } else { 1 };
        (0..orders).map(|order| Case::new(op, sample, order)).collect()
    }

    fn new(op: &'static str, sample: &Sample, order: usize) -> Result<Case, RunError> {
        let (plain, operands) = (graph(sample, order), operands(sample));
        let simple = simplify(&differentiate(&plain));
        let same_bits = order == 0 && sample.op.form().exactness() < Exactness::Approximate;
        let mut case = Case { op, order, plain, simple, same_bits, sample: sample.clone(), operands, truth: Vec::new() };
        case.truth = case.run(&Reference, &case.plain, false)?;
        Ok(case)
    }

    /// What it is: the op with its attributes, the sizes of its operands, the order of derivatives.
    pub fn name(&self) -> String {
        let sizes: Vec<String> = self.sample.operands.iter().map(|(shape, _)| format!("{shape:?}")).collect();
        let order = ["", ", first derivatives", ", second derivatives"][self.order];
        format!("{} ({:?}) of {}{order}", self.op, self.sample.op, sizes.join(", "))
    }

    /// Runs one of its graphs. Errors: the device cannot run it.
    pub fn run(&self, device: &dyn Device, graph: &Graph, fused: bool) -> Result<Vec<Vec<f32>>, RunError> {
        let ready = device.prepare(plan(&fuse(graph, fused)))?;
        let single: Vec<Vec<f32>> = self.operands.iter().map(|x| x.data.iter().map(|v| *v as f32).collect()).collect();
        // Inputs that fell away are bound as well.
        let inputs: Vec<&[f32]> = single.iter().map(Vec::as_slice).collect();
        let mut scratch = ready.scratch();
        ready.run(&inputs, &mut scratch).map_err(RunError::Numeric)?;
        Ok(scratch.outputs)
    }

    /// Each result against its definition. `least`: what may be off in any case, relative to the largest element.
    pub fn far(&self, made: &[Vec<f32>], least: f64) -> Vec<Far> {
        let tolerance = if self.same_bits { 0.0 } else { TOLERANCE[self.order].max(least) };
        let one = |(made, truth): (&Vec<f32>, &Vec<f32>)| {
            // What cancels to little carries the rounding of what was large.
            let largest = truth.iter().filter(|x| x.is_finite()).fold(1.0f64, |largest, x| largest.max(f64::from(x.abs())));
            let truth: Vec<f64> = truth.iter().map(|x| f64::from(*x)).collect();
            Far::of(made, &truth, tolerance * largest)
        };
        made.iter().zip(&self.truth).map(one).collect()
    }
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

/// The sample with other sizes, equal ones staying equal, where the op takes them.
pub fn resized(sample: &Sample, seed: u64) -> Option<Sample> {
    let size = |old: &usize| 1 + (*old as u64 * 31 + seed * 17 + (seed * *old as u64) % 5) as usize % 9;
    let operands: Vec<_> = sample.operands.iter().map(|(shape, draws)| (shape.iter().map(size).collect::<Vec<_>>(), *draws)).collect();
    let shapes: Vec<&[usize]> = operands.iter().map(|(shape, _)| shape.as_slice()).collect();
    let made: usize = sample.op.shape(&shapes).ok()?.iter().product();
    (made > 0 && made < 3000).then(|| Sample { op: sample.op.clone(), operands })
}

/// What is asked of a device beside agreeing with the definitions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner<'a> {
    /// The ops; all of the table where none is named.
    pub only: &'a [String],
    /// Threads of this machine that share the work.
    pub threads: usize,
    /// Whether kernels that are fused and those that are not must make the same bits.
    pub fused_like_single: bool,
    /// Whether the device may refuse an op; what it refuses is noted.
    pub may_refuse: bool,
    /// What may be off in any case, relative to the largest element.
    pub least: f64,
}

/// Runs every sample on a device: as it is written and simplified, fused and unfused, and a second time, which must make the same bits.
pub fn check(device: &dyn Device, manner: &Manner) -> Found {
    let wanted = |name: &str| manner.only.is_empty() || manner.only.iter().any(|own| own == name);
    let entries = TABLE.iter().filter(|entry| wanted(entry.name));
    let work: Vec<(&str, Sample)> = entries.flat_map(|entry| (entry.samples)().into_iter().map(|sample| (entry.name, sample))).collect();
    shared(&work, manner.threads, |(op, sample), found| one(op, sample, device, manner, found))
}

fn one(op: &'static str, sample: &Sample, device: &dyn Device, manner: &Manner, found: &mut Found) {
    let cases = match Case::all(op, sample) {
        Ok(cases) => cases,
        Err(why) => return found.say(Err(format!("{op}: its definition cannot be run: {why}"))),
    };
    for case in &cases {
        found.cases += 1;
        match judge(case, device, manner, found) {
            Err(RunError::Spec(fault)) if manner.may_refuse => found.notes.push(fault.message.clone()),
            Err(why) => found.wrong.push(format!("{}: it cannot be run: {why}", case.name())),
            Ok(()) => {}
        }
    }
}

fn judge(case: &Case, device: &dyn Device, manner: &Manner, found: &mut Found) -> Result<(), RunError> {
    let mut take = |how: &str, made: &[Vec<f32>]| {
        let name = || format!("{}, {how}", case.name());
        if made.len() != case.truth.len() {
            found.wrong.push(format!("{}: {} results instead of {}", name(), made.len(), case.truth.len()));
        }
        case.far(made, manner.least).iter().for_each(|far| found.take(case.op, name, far));
    };
    let fused = case.run(device, &case.simple, true)?;
    take("fused", &fused);
    let single = case.run(device, &case.simple, false)?;
    take("unfused", &single);
    take("as it is written", &case.run(device, &case.plain, true)?);
    let again = case.run(device, &case.simple, true)?;
    let mut same = |what: &str, a: &[Vec<f32>], b: &[Vec<f32>]| {
        if let Some(why) = other_bits(a, b) {
            found.wrong.push(format!("{}: {what} are not the same bits: {why}", case.name()));
        }
    };
    same("two runs", &again, &fused);
    if manner.fused_like_single {
        same("unfused and fused", &single, &fused);
    }
    Ok(())
}

/// Where two results differ.
fn other_bits(a: &[Vec<f32>], b: &[Vec<f32>]) -> Option<String> {
    for (output, (a, b)) in a.iter().zip(b).enumerate() {
        let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan());
        if let Some(element) = a.iter().zip(b).position(differs) {
            return Some(format!("result {output}, element {element} is {} and {}", a[element], b[element]));
        }
    }
    None
}
