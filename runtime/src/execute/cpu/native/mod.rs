//! Element-wise steps of a loop as machine code of this processor: values stay in registers from the first load to the last store, where
//! steps one by one would write each into the nearest cache. The bits are the same, since both are made from the same operations.

mod build;
mod code;
mod emit;
mod registers;
mod tape;
#[cfg(test)]
mod tests;

use super::prepare::{Leave, Source, TileLoop};
use super::tile::{Buffer, Tile};
use code::{Code, Entry, Frame};
use emit::Isa;

/// How a loop runs a tile.
#[derive(Debug, Default)]
pub(super) struct Native {
    pub phases: Vec<Phase>,
    /// For each effect, whether code stores it.
    pub stored: Vec<bool>,
    code: Option<Code>,
}

/// Steps that run together.
#[derive(Debug)]
pub(super) enum Phase {
    /// One by itself, by number.
    Step(usize),
    Code(Box<Group>),
}

/// Steps in one function.
#[derive(Debug)]
pub(super) struct Group {
    /// In the order in which a tile hands them over.
    streams: Vec<Stream>,
    /// Whether rows follow each other without a gap in all streams, so that they are one.
    flat: bool,
    entry: Entry,
    /// The same, with results past the caches.
    past: Option<Entry>,
}

/// What a function reads or writes, in the order in which a tile hands them over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Stream {
    /// An access that no step loads.
    There(usize),
    /// The access of a step.
    Load(usize),
    Row(usize),
    Slot(usize),
    Effect(usize),
}

impl Stream {
    /// Slots up to this one.
    fn slots(&self) -> usize {
        if let Stream::Slot(slot) = self { slot + 1 } else { 0 }
    }
}

/// Where the parts of a tile are.
pub(super) struct Parts<'a, 'b, 'c> {
    pub tile: &'a Tile,
    pub scalars: &'a [f32],
    /// Buffers of the accesses that no step loads, and those that steps load from.
    pub there: &'a [Buffer<'b>],
    pub sources: &'a [Buffer<'b>],
    /// Slots of one element for each row.
    pub lines: &'a [f32],
    pub slots: &'a mut [f32],
    /// What effects write, and elements of the share before the tile.
    pub to: &'a mut [&'c mut [f32]],
    pub from: usize,
    pub away: &'a mut [f32],
}

/// The widest vectors that code can be made for.
fn isa(arch: pulp::Arch) -> Option<Isa> {
    match arch {
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(_) => Some(Isa::Avx512),
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(_) => Some(Isa::Avx2),
        _ => None,
    }
}

impl Native {
    /// Steps one by one.
    pub fn steps(body: &TileLoop) -> Native {
        Native { phases: (0..body.steps.len()).map(Phase::Step).collect(), stored: vec![false; body.leaves.len()], code: None }
    }

    /// Code for what the processor has instructions for; steps one by one for the rest.
    pub fn new(body: &TileLoop, arch: pulp::Arch) -> Native {
        isa(arch).and_then(|isa| build::native(body, isa)).unwrap_or_else(|| Native::steps(body))
    }

    /// Elements of memory for values that have to give way.
    pub fn away(&self) -> usize {
        let of = |phase: &Phase| if let Phase::Code(group) = phase { group.entry.away * group.entry.isa.lanes() } else { 0 };
        self.phases.iter().map(of).max().unwrap_or(0)
    }

    /// How many slots are needed where the steps are those of a loop: those from the first one to the last that anything reads or writes.
    pub fn slots(&self, body: &TileLoop) -> usize {
        let left = body.leaves.iter().zip(&self.stored).filter(|(_, stored)| !**stored).map(|(leave, _)| match leave {
            Leave::Store(source, _) => *source,
            Leave::Reduce { value, .. } => *value,
        });
        let of = |phase: &Phase| match phase {
            Phase::Step(number) => body.steps[*number].slots().max().unwrap_or(0),
            Phase::Code(group) => group.streams.iter().map(Stream::slots).max().unwrap_or(0),
        };
        self.phases.iter().map(of).chain(left.map(Source::slots)).max().unwrap_or(0)
    }

    /// Runs a group of this loop on a tile.
    pub fn run(&self, group: &Group, body: &TileLoop, parts: Parts) {
        let Some(code) = &self.code else { return };
        let tile = parts.tile;
        let space = if group.flat { [1, tile.elements()] } else { [tile.height, tile.columns] };
        let mut frame = Frame::new(&group.entry, space, parts.scalars, parts.away);
        let (mut slots, mut effects) = (parts.slots.chunks_mut(body.slot_elements().max(1)).enumerate(), parts.to.iter_mut().enumerate());
        for stream in &group.streams {
            match *stream {
                Stream::There(number) => frame.read(parts.there[number].from(tile.start(&body.there[number]))),
                Stream::Load(number) => {
                    if let Some(access) = body.steps[number].access() {
                        frame.read(parts.sources[number].from(tile.start(access)));
                    }
                }
                Stream::Row(slot) => frame.read(&parts.lines[slot * body.height..]),
                Stream::Slot(slot) => {
                    if let Some((_, slot)) = slots.find(|(number, _)| *number == slot) {
                        frame.write(slot);
                    }
                }
                Stream::Effect(effect) => {
                    if let Some((_, to)) = effects.find(|(number, _)| *number == effect) {
                        frame.write(&mut to[parts.from..]);
                    }
                }
            }
        }
        code.run(&mut frame, group.past.as_ref());
    }
}
