//! A loop made ready for tiles: values get slots, which are used again when their value is no longer needed.

use segc_compiler::kernel::{Access, Effect, Function, Instruction, Join, Loop, Operand, Over, Place, Scalar, Tap};

use super::native::Native;
use super::partial::BLOCK;

/// Elements of a slot, as near as whole rows allow: long enough that deciding what to do costs little beside doing it. Rows without
/// stencils are cut as well.
const TILE: usize = 1024;

/// Elements that are worth handing to another thread.
const ITEM: usize = 1 << 14;

/// Columns from which on a value that is the same along every row is kept once for a row.
pub(super) const LONG: usize = 16;

/// Elements between slots, so that equal places of different slots fall into different sets of the cache.
const SKEW: usize = 48;

/// Where an operand is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    /// A slot of the tile memory.
    Slot(usize),
    /// A slot of one element for each row, for a value that is the same along every row.
    Row(usize),
    /// One of the accesses whose tiles are read where they are.
    There(usize),
    /// What is to be written over, by number of the effect.
    Own(usize),
    /// A scalar.
    Scalar(usize),
}

/// An instruction and the slot that it writes.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub to: To,
    pub what: What,
}

impl Source {
    /// Slots up to this one.
    pub fn slots(self) -> usize {
        if let Source::Slot(slot) = self { slot + 1 } else { 0 }
    }
}

impl Step {
    /// What it reads beside a buffer.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        let list = match self.what {
            What::Load(_) | What::LoadStencil(..) => [None; 3],
            What::One(_, a) | What::RowStencil(a, _) => [Some(a), None, None],
            What::Two(_, a, b) => [Some(a), Some(b), None],
            What::Select(on, yes, no) => [Some(on), Some(yes), Some(no)],
        };
        list.into_iter().flatten()
    }

    /// What it loads.
    pub fn access(&self) -> Option<&Access> {
        match &self.what {
            What::Load(access) | What::LoadStencil(access, _) => Some(access),
            _ => None,
        }
    }

    /// Slots up to those that it reads and writes.
    pub fn slots(&self) -> impl Iterator<Item = usize> {
        let own = if let To::Slot(slot) = self.to { slot + 1 } else { 0 };
        self.sources().map(Source::slots).chain([own])
    }
}

/// A slot that is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum To {
    /// As [`Source::Slot`].
    Slot(usize),
    /// As [`Source::Row`].
    Row(usize),
}

/// What an instruction does.
#[derive(Clone, Debug)]
pub(super) enum What {
    Load(Access),
    LoadStencil(Access, Weights),
    RowStencil(Source, Weights),
    One(Function, Source),
    Two(Function, Source, Source),
    Select(Source, Source, Source),
}

/// The taps of a stencil in f32, and how far they reach.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// Rows down, columns to the right, weight.
    pub taps: Vec<(isize, isize, f32)>,
    /// Smallest and largest move down.
    pub down: (isize, isize),
    /// Largest move to a side.
    pub side: usize,
}

/// What a tile leaves behind.
#[derive(Clone, Debug)]
pub(super) enum Leave {
    Store(Source, Access),
    Reduce { value: Source, join: Join, arena: usize, over: Over },
}

/// A loop over tiles.
#[derive(Debug)]
pub(super) struct TileLoop {
    pub outer: usize,
    pub rows: usize,
    pub columns: usize,
    /// Rows of a tile.
    pub height: usize,
    /// Columns of a tile: all, or those of a part of one row.
    pub width: usize,
    pub scalars: Vec<Scalar>,
    /// Accesses whose tiles lie in one piece, so that no step loads them.
    pub there: Vec<Access>,
    pub steps: Vec<Step>,
    pub leaves: Vec<Leave>,
    pub native: Native,
    slots: usize,
    row_slots: usize,
}

impl TileLoop {
    /// Where all is code that keeps its values in registers, tiles are as long as pays.
    pub fn new(body: &Loop, arch: pulp::Arch) -> TileLoop {
        let made = TileLoop::with(body, arch, TILE);
        if made.slots == 0 && made.native.stored.iter().all(|stored| *stored) { TileLoop::with(body, arch, ITEM) } else { made }
    }

    /// One step after the other.
    #[cfg(test)]
    pub fn by_steps(body: &Loop) -> TileLoop {
        TileLoop::with(body, pulp::Arch::Scalar, TILE)
    }

    /// With tiles of about so many elements.
    fn with(body: &Loop, arch: pulp::Arch, tile: usize) -> TileLoop {
        let [outer, rows, columns] = body.space;
        let stencil = |instruction: &Instruction| matches!(instruction, Instruction::LoadStencil(..) | Instruction::RowStencil(..));
        let width = if body.body.iter().any(stencil) { columns } else { columns.min(tile) };
        // Multiples of what short tiles have, so that loops with long ones can share bands of rows with them.
        let short = (TILE / columns.max(1)).clamp(1, rows.max(1));
        let height = if width < columns { 1 } else { (tile / columns.max(1) / short * short).clamp(1, rows.max(1)) };
        let whole = |access: &Access| access.columns == 1 && (height == 1 || access.rows == columns);
        let Assigned { there, steps, sources, slots, row_slots } = Assigned::new(body, whole);
        let leaves = body
            .effects
            .iter()
            .map(|effect| match effect {
                Effect::Store(value, access) => Leave::Store(sources[*value], access.clone()),
                Effect::Reduce { value, join, result, over } => {
                    Leave::Reduce { value: sources[*value], join: *join, arena: arena(*result), over: *over }
                }
            })
            .collect();
        let mut made = TileLoop {
            outer,
            rows,
            columns,
            height,
            width,
            scalars: body.scalars.clone(),
            there,
            steps,
            leaves,
            native: Native::default(),
            slots: slots.count,
            row_slots,
        };
        made.native = Native::new(&made, arch);
        made.slots = made.native.slots(&made);
        made
    }

    /// How many tiles there are for each index of the outer axes, down and across.
    pub fn grid(&self) -> [usize; 2] {
        [self.rows.div_ceil(self.height), self.columns.div_ceil(self.width.max(1))]
    }

    /// The first tile of a row, counted over all outer axes; tiles begin with such rows only.
    pub fn tile_of(&self, row: usize) -> usize {
        let [down, across] = self.grid();
        (row / self.rows * down + row % self.rows / self.height) * across
    }

    /// Elements before a tile, counted over all tiles.
    pub fn before(&self, tile: usize) -> usize {
        let [down, across] = self.grid();
        let (outer, row, column) = (tile / across / down, tile / across % down * self.height, tile % across * self.width);
        (outer * self.rows + row) * self.columns + column
    }

    /// Tiles that threads take at once. Every reduction ends inside of an item, but those over all, which are cut into the blocks that
    /// they are joined from.
    pub fn item(&self) -> usize {
        let [down, across] = self.grid();
        let has = |wanted: Over| self.leaves.iter().any(|leave| matches!(leave, Leave::Reduce { over, .. } if *over == wanted));
        let least = |tiles: usize, elements: usize| tiles * ITEM.div_ceil(elements.max(1));
        let (row, plane) = (self.columns, self.rows * self.columns);
        if has(Over::All) {
            let tile = self.height * self.width;
            let even = self.rows.is_multiple_of(self.height) && self.columns.is_multiple_of(self.width) && BLOCK.is_multiple_of(tile);
            let ends = (!has(Over::Rows) || BLOCK.is_multiple_of(plane)) && (!has(Over::Columns) || BLOCK.is_multiple_of(row));
            if even && ends { BLOCK / tile } else { usize::MAX }
        } else if has(Over::Rows) {
            least(down * across, plane)
        } else if has(Over::Columns) {
            least(across, self.height * row)
        } else {
            least(1, self.height * self.width)
        }
    }

    /// Elements of one slot.
    pub fn slot_elements(&self) -> usize {
        (self.height * self.width).next_multiple_of(16) + SKEW
    }

    pub fn tile_elements(&self) -> usize {
        self.slot_elements() * self.slots
    }

    /// Elements of the slots of one element for each row.
    pub fn row_elements(&self) -> usize {
        self.height * self.row_slots
    }

    pub fn scalar_count(&self) -> usize {
        self.scalars.len()
    }

    /// Elements of memory of each thread.
    pub fn memory(&self) -> usize {
        self.tile_elements() + self.row_elements() + self.native.away() + self.padded_elements()
    }

    /// Elements of the largest padded block that a stencil needs.
    fn padded_elements(&self) -> usize {
        let block = |weights: &Weights| {
            let rows = self.height + (weights.down.1 - weights.down.0) as usize;
            rows * weights.stride(self.columns)
        };
        let of = |step: &Step| match &step.what {
            What::LoadStencil(_, weights) | What::RowStencil(_, weights) => block(weights),
            _ => 0,
        };
        self.steps.iter().map(of).max().unwrap_or(0)
    }
}

fn arena(place: Place) -> usize {
    match place {
        Place::Arena(at) => at,
        Place::Input(_) | Place::Result(_) => 0,
    }
}

impl Weights {
    /// Elements from row to row of a padded block; rows begin with a cache line.
    #[inline(always)]
    pub fn stride(&self, columns: usize) -> usize {
        (columns + 2 * self.side).next_multiple_of(16)
    }

    fn new(taps: &[Tap]) -> Weights {
        let down = |pick: fn(isize, isize) -> isize| taps.iter().map(|tap| tap.down).fold(0, pick);
        Weights {
            taps: taps.iter().map(|tap| (tap.down, tap.right, tap.weight as f32)).collect(),
            down: (down(isize::min), down(isize::max)),
            side: taps.iter().map(|tap| tap.right.unsigned_abs()).max().unwrap_or(0),
        }
    }
}

/// The steps of a loop and where its values are.
#[derive(Default)]
struct Assigned {
    there: Vec<Access>,
    steps: Vec<Step>,
    /// Of each value.
    sources: Vec<Source>,
    slots: Slots,
    /// These are not used again, since they are made before all others.
    row_slots: usize,
}

/// Slots that are used again.
#[derive(Default)]
struct Slots {
    free: Vec<usize>,
    count: usize,
}

impl Slots {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        })
    }
}

impl Assigned {
    /// Gives slots to values but those whose tiles are `whole` where they are. Values that effects need live to the end.
    fn new(body: &Loop, whole: impl Fn(&Access) -> bool) -> Assigned {
        let last = last_uses(body);
        let mut made = Assigned::default();
        for (time, instruction) in body.body.iter().enumerate() {
            let over = if let Instruction::Load(access) = instruction { effect_on(body, access.place) } else { None };
            let source = match (instruction, over) {
                (_, Some(effect)) => Source::Own(effect),
                (Instruction::Splat(scalar), _) => Source::Scalar(*scalar),
                (Instruction::Load(access), _) if whole(access) => {
                    made.there.push(access.clone());
                    Source::There(made.there.len() - 1)
                }
                _ => made.step(instruction, body.space[2]),
            };
            made.sources.push(source);
            let mut done: Vec<usize> = values(instruction).chain([time]).filter(|value| last[*value] == time).collect();
            done.sort_unstable();
            done.dedup();
            for value in done {
                if let Source::Slot(slot) = made.sources[value] {
                    made.slots.free.push(slot);
                }
            }
        }
        for effect in &body.effects {
            let (Effect::Store(value, _) | Effect::Reduce { value, .. }) = effect;
            made.sources[*value] = made.each(made.sources[*value]);
        }
        made
    }

    fn step(&mut self, instruction: &Instruction, columns: usize) -> Source {
        let of = |operand: &Operand, sources: &[Source]| match operand {
            Operand::Value(value) => sources[*value],
            Operand::Scalar(scalar) => Source::Scalar(*scalar),
        };
        let what = match instruction {
            Instruction::Splat(scalar) => What::One(Function::Copy, Source::Scalar(*scalar)),
            Instruction::Load(access) => What::Load(access.clone()),
            Instruction::LoadStencil(access, taps) => What::LoadStencil(access.clone(), Weights::new(taps)),
            Instruction::RowStencil(value, taps) => What::RowStencil(self.each(self.sources[*value]), Weights::new(taps)),
            Instruction::Apply(function, operands) => {
                let operands: Vec<Source> = operands.iter().map(|operand| of(operand, &self.sources)).collect();
                match operands[..] {
                    [a] => What::One(*function, a),
                    [a, b] => What::Two(*function, a, b),
                    [on, yes, no] => What::Select(on, yes, no),
                    _ => What::One(Function::Copy, Source::Scalar(0)),
                }
            }
        };
        let even = |source: &Source| matches!(source, Source::Row(_) | Source::Scalar(_));
        let by_row = match &what {
            What::Load(access) => access.columns == 0,
            What::LoadStencil(..) | What::RowStencil(..) => false,
            What::One(_, a) => even(a),
            What::Two(_, a, b) => even(a) && even(b),
            What::Select(on, yes, no) => even(on) && even(yes) && even(no),
        };
        if by_row && columns >= LONG {
            let slot = self.row_slots;
            self.row_slots += 1;
            self.steps.push(Step { to: To::Row(slot), what });
            return Source::Row(slot);
        }
        let slot = self.slots.take();
        self.steps.push(Step { to: To::Slot(slot), what });
        Source::Slot(slot)
    }

    /// The value element by element; a copy that stays if it is kept otherwise.
    fn each(&mut self, source: Source) -> Source {
        match source {
            Source::Slot(_) | Source::There(_) => source,
            Source::Row(_) | Source::Own(_) | Source::Scalar(_) => {
                let slot = self.slots.take();
                self.steps.push(Step { to: To::Slot(slot), what: What::One(Function::Copy, source) });
                Source::Slot(slot)
            }
        }
    }
}

/// The number of the effect that writes a place.
fn effect_on(body: &Loop, place: Place) -> Option<usize> {
    let on = |effect: &Effect| matches!(effect, Effect::Store(_, access) if access.place == place);
    body.effects.iter().position(on)
}

/// When each value is used last.
fn last_uses(body: &Loop) -> Vec<usize> {
    let mut last: Vec<usize> = (0..body.body.len()).collect();
    for (time, instruction) in body.body.iter().enumerate() {
        values(instruction).for_each(|value| last[value] = time);
    }
    for effect in &body.effects {
        let (Effect::Store(value, _) | Effect::Reduce { value, .. }) = effect;
        last[*value] = usize::MAX;
    }
    last
}

fn values(instruction: &Instruction) -> impl Iterator<Item = usize> {
    let list: Vec<usize> = match instruction {
        Instruction::RowStencil(value, _) => vec![*value],
        Instruction::Apply(_, operands) => operands
            .iter()
            .filter_map(|operand| match operand {
                Operand::Value(value) => Some(*value),
                Operand::Scalar(_) => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    list.into_iter()
}
