//! Ops that run alone: one room for each form, chosen when a program is prepared. What a room computes for an element depends on shapes
//! only, never on the number of threads.

mod contract;
mod conv;
mod definition;
mod direct;
mod dots;
mod gather;
mod gemm;
mod lying;
mod max_pool;
mod parts;
mod permute;
mod pick;
mod planes;
mod random;
mod reduce;
mod resample;
mod sweep;
mod thin;
mod winograd;

use segc_compiler::kernel::{Place, Whole};
use segc_compiler::ops::Form;

use super::super::Lines;
use super::team::Team;
use crate::execute::definition::Definition;

/// An op that is ready to run.
pub(super) trait Room: Send + Sync {
    /// Memory of a run beside operands and result.
    fn memory(&self) -> Memory {
        Memory::default()
    }

    /// From operands to result, all row-major.
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands);
}

/// Elements of memory that a run needs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// Of all threads together.
    pub common: usize,
    /// Of each thread.
    pub own: usize,
}

/// Who runs a room, with what memory.
pub(super) struct Hands<'a> {
    pub team: &'a Team,
    pub arch: pulp::Arch,
    pub common: &'a mut [f32],
    pub own: &'a mut [Lines],
}

/// Elements of an item that are worth handing to another thread.
const ITEM: usize = 1 << 14;

impl Hands<'_> {
    /// Equal pieces of a result with their numbers, several to an item.
    pub fn pieces(&mut self, result: &mut [f32], size: usize, body: impl Fn(usize, &mut [f32]) + Sync) {
        let size = size.max(1);
        let group = (ITEM / size).max(1);
        let items = result.chunks_mut(group * size).enumerate();
        self.team.each(items, self.own, |(item, chunk), _| {
            chunk.chunks_mut(size).enumerate().for_each(|(number, piece)| body(item * group + number, piece));
        });
    }
}

/// One op alone with its places.
pub(super) struct Alone {
    room: Box<dyn Room>,
    operands: Vec<(Place, usize)>,
    result: (usize, usize),
}

impl Alone {
    /// Errors: an algorithm of the host that does not exist.
    pub fn new(whole: &Whole, arch: pulp::Arch) -> Result<Alone, String> {
        let elements = |shape: &[usize]| shape.iter().product::<usize>();
        let at = match whole.result.0 {
            Place::Arena(at) => at,
            Place::Input(_) | Place::Result(_) => return Err(format!("{} writes to an input", whole.op.name())),
        };
        Ok(Alone {
            room: room(whole, arch)?,
            operands: whole.operands.iter().map(|(place, shape)| (*place, elements(shape))).collect(),
            result: (at, elements(&whole.result.1)),
        })
    }

    pub fn memory(&self) -> Memory {
        self.room.memory()
    }

    pub fn run(&self, inputs: &[&[f32]], arena: &mut [f32], hands: &mut Hands) {
        let (at, size) = self.result;
        let (before, rest) = arena.split_at_mut(at);
        let (result, after) = rest.split_at_mut(size);
        let operands: Vec<&[f32]> = self
            .operands
            .iter()
            .map(|&(place, size)| match place {
                Place::Input(number) => &inputs[number][..size],
                // Only loops run where results lie over inputs.
                Place::Result(_) => &[],
                // The plan lays no operand over a result.
                Place::Arena(from) if from < at => &before[from..from + size],
                Place::Arena(from) => &after[from - at - self.result.1..][..size],
            })
            .collect();
        self.room.run(&operands, result, hands);
    }
}

fn room(whole: &Whole, arch: pulp::Arch) -> Result<Box<dyn Room>, String> {
    let shapes: Vec<&[usize]> = whole.operands.iter().map(|(_, shape)| shape.as_slice()).collect();
    let result = whole.result.1.as_slice();
    Ok(match whole.op.form() {
        Form::Contract(a, b, to) => match contract::Contract::new([&a, &b, &to], &shapes, result, arch) {
            Some(room) => Box::new(room),
            None => Box::new(Definition::new(whole)?),
        },
        Form::Reduce(join, over) => Box::new(reduce::Reduce::new(join, shapes[0], &over)),
        Form::Permute(order) => Box::new(permute::Permute::new(shapes[0], &order)),
        Form::Concat(axis) => Box::new(parts::Concat::new(&shapes, axis)),
        Form::Slice(axis, from) => Box::new(parts::Slice::new(shapes[0], result, axis, from)),
        Form::Embed(axis, from) => Box::new(parts::Embed::new(shapes[0], result, axis, from)),
        Form::PickAt(axis) => Box::new(pick::PickAt::new(shapes[0], axis)),
        Form::ArgMax(axis) => Box::new(pick::ArgMax::new(shapes[0], axis)),
        Form::Conv(slide) => conv::Conv::room(&slide, shapes[0], shapes[1], result, arch),
        Form::MaxPool { window, place } => Box::new(max_pool::MaxPool::new(&window, place, shapes[0], result, arch)),
        Form::Resample(axis, rows) => Box::new(resample::Resample::new(shapes[0], axis, &rows)),
        Form::Gather(batch) => Box::new(gather::Gather::new(shapes[0], shapes[1], batch)),
        Form::Scatter(batch) => Box::new(gather::Scatter::new(shapes[1], result, batch)),
        Form::Shift(batch) => Box::new(gather::Shift::new(shapes[0], batch)),
        Form::Random(chance, path) => Box::new(random::Random::new(chance, path, &shapes, result)),
        _ => Box::new(Definition::new(whole)?),
    })
}

/// Sizes of the axes before an axis, of itself, and behind it.
fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}
