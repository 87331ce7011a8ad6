//! What a run of a program costs: arithmetic, traffic, memory.

use super::Program;
use crate::graph::Shape;
use crate::kernel::{Access, Effect, Instruction, Kernel, Loop, Over, Place, Whole};
use crate::ops::Form;

/// What a run of a program costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// Arithmetic operations: one for an element of an element-wise function or a reduction, two for an entry of a product, a
    /// convolution, a stencil or a map along an axis. What only moves elements or draws them counts none.
    pub flop: u64,
    /// Bytes read and written by kernels, in f32: every buffer once per kernel and way of reading it.
    pub bytes: u64,
    /// Kernels.
    pub kernels: usize,
    /// Bytes of the arena, in f32.
    pub arena: u64,
    /// Bytes of the inputs, in f32.
    pub inputs: u64,
    /// Bytes of the outputs that are not written over inputs, in f32.
    pub outputs: u64,
}

impl Cost {
    /// Bytes that are alive at a time: arena, inputs and outputs.
    pub fn memory(&self) -> u64 {
        self.arena + self.inputs + self.outputs
    }
}

impl Program {
    /// Counts work and memory.
    pub fn cost(&self) -> Cost {
        let work = self.kernel_costs().iter().fold((0, 0), |(flop, bytes), cost| (flop + cost.flop, bytes + cost.bytes));
        Cost {
            flop: work.0,
            bytes: work.1,
            kernels: self.kernels.len(),
            arena: 4 * self.arena as u64,
            inputs: 4 * self.inputs.iter().map(|(_, shape)| elements(shape)).sum::<u64>(),
            outputs: 4 * self.outputs_apart().map(|(.., shape)| elements(shape)).sum::<u64>(),
        }
    }

    /// The outputs that are not written over inputs.
    fn outputs_apart(&self) -> impl Iterator<Item = &(String, Place, Shape)> {
        self.outputs.iter().zip(&self.over).filter(|(_, over)| over.is_none()).map(|(output, _)| output)
    }

    /// The work of each kernel.
    pub fn kernel_costs(&self) -> Vec<Cost> {
        let work = self.kernels.iter().map(|kernel| match kernel {
            Kernel::Whole(whole) => of_whole(whole),
            Kernel::Loop(body) => of_loop(body),
        });
        work.map(|(flop, moved)| Cost { flop, bytes: 4 * moved, kernels: 1, ..Cost::default() }).collect()
    }
}

fn elements(shape: &[usize]) -> u64 {
    shape.iter().map(|size| *size as u64).product()
}

/// Operations and elements moved.
fn of_whole(whole: &Whole) -> (u64, u64) {
    let result = elements(&whole.result.1);
    let shape = |number: usize| -> &Shape { &whole.operands[number].1 };
    let flop = match whole.op.form() {
        Form::Contract(a, b, to) => {
            let summed = a.iter().zip(shape(0)).chain(b.iter().zip(shape(1)));
            let mut inner: Vec<(u8, usize)> = summed.map(|(axis, size)| (*axis, *size)).filter(|(axis, _)| !to.contains(axis)).collect();
            inner.sort_unstable();
            inner.dedup();
            2 * result * inner.iter().map(|(_, size)| *size as u64).product::<u64>()
        }
        // Taps that meet zeros between the pixels do not count, those that meet the pad do.
        Form::Conv(slide) => {
            let per_result = elements(shape(1)) / shape(1)[usize::from(slide.turned)].max(1) as u64;
            2 * result * per_result / elements(&slide.input_dilation)
        }
        Form::MaxPool { window, .. } => result * elements(&window.size),
        Form::Resample(axis, rows) => {
            let entries = rows.iter().filter(|row| !matches!(row[..], [(_, 1.0)])).map(|row| row.len() as u64).sum::<u64>();
            2 * entries * result / (rows.len() as u64).max(1) * u64::from(whole.result.1[axis] > 0)
        }
        Form::Reduce(..) => elements(shape(0)),
        Form::Scatter(_) => elements(shape(0)),
        Form::Map(_) => result,
        _ => 0,
    };
    (flop, whole.operands.iter().map(|(_, shape)| elements(shape)).sum::<u64>() + result)
}

fn of_loop(body: &Loop) -> (u64, u64) {
    let points: u64 = body.space.iter().map(|size| *size as u64).product();
    let (mut flop, mut moved) = (0, body.scalars.len() as u64);
    for instruction in &body.body {
        match instruction {
            Instruction::Apply(..) => flop += points,
            Instruction::LoadStencil(access, taps) => {
                flop += 2 * points * taps.len() as u64;
                moved += read(access, body.space);
            }
            Instruction::RowStencil(_, taps) => flop += 2 * points * taps.len() as u64,
            Instruction::Load(access) => moved += read(access, body.space),
            Instruction::Splat(_) => {}
        }
    }
    for effect in &body.effects {
        moved += match effect {
            Effect::Store(..) => points,
            Effect::Reduce { over, .. } => {
                flop += points;
                match over {
                    Over::All => 1,
                    Over::Rows => body.space[0] as u64,
                    Over::Columns => (body.space[0] * body.space[1]) as u64,
                }
            }
        };
    }
    (flop, moved)
}

/// Different elements that an access reads.
fn read(access: &Access, [_, rows, columns]: [usize; 3]) -> u64 {
    let mut starts = access.outer.clone();
    starts.sort_unstable();
    starts.dedup();
    let along = |size: usize, step: usize| if step == 0 { size.min(1) } else { size };
    (starts.len() * along(rows, access.rows) * along(columns, access.columns)) as u64
}
