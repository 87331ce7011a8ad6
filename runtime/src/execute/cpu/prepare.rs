//! A loop made ready for tiles: values get slots, which are used again when their value is no longer needed.

use segc_compiler::kernel::{Access, Effect, Function, Instruction, Join, Loop, Operand, Over, Place, Scalar, Tap};

use super::partial::BLOCK;

/// Elements of a slot, as near as whole rows allow: long enough that deciding what to do costs little beside doing it. Rows without
/// stencils are cut as well.
const TILE: usize = 1024;

/// Elements that are worth handing to another thread.
const ITEM: usize = 1 << 14;

/// Elements between slots, so that equal places of different slots fall into different sets of the cache.
const SKEW: usize = 48;

/// Where an operand is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    /// A slot of the tile memory.
    Slot(usize),
    /// One of the accesses whose tiles are read where they are.
    There(usize),
    /// A scalar.
    Scalar(usize),
}

/// An instruction that writes slot `to`.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub to: usize,
    pub what: What,
}

/// What an instruction does.
#[derive(Clone, Debug)]
pub(super) enum What {
    Splat(usize),
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
#[derive(Clone, Debug)]
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
    slots: usize,
}

impl TileLoop {
    pub fn new(body: &Loop) -> TileLoop {
        let [outer, rows, columns] = body.space;
        let stencil = |instruction: &Instruction| matches!(instruction, Instruction::LoadStencil(..) | Instruction::RowStencil(..));
        let width = if body.body.iter().any(stencil) { columns } else { columns.min(TILE) };
        let height = if width < columns { 1 } else { (TILE / columns.max(1)).clamp(1, rows.max(1)) };
        let whole = |access: &Access| access.columns == 1 && (height == 1 || access.rows == columns);
        let Assigned { there, steps, sources, slots } = assign(body, whole);
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
        TileLoop { outer, rows, columns, height, width, scalars: body.scalars.clone(), there, steps, leaves, slots }
    }

    /// How many tiles there are for each index of the outer axes, down and across.
    pub fn grid(&self) -> [usize; 2] {
        [self.rows.div_ceil(self.height), self.columns.div_ceil(self.width.max(1))]
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

    pub fn scalar_count(&self) -> usize {
        self.scalars.len()
    }

    /// Elements of memory of each thread.
    pub fn memory(&self) -> usize {
        self.tile_elements() + self.padded_elements()
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
        Place::Input(_) => 0,
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
struct Assigned {
    there: Vec<Access>,
    steps: Vec<Step>,
    /// Of each value.
    sources: Vec<Source>,
    slots: usize,
}

/// Gives slots to values but those whose tiles are `whole` where they are. Values that effects need live to the end.
fn assign(body: &Loop, whole: impl Fn(&Access) -> bool) -> Assigned {
    let mut last: Vec<usize> = (0..body.body.len()).collect();
    for (time, instruction) in body.body.iter().enumerate() {
        values(instruction).for_each(|value| last[value] = time);
    }
    for effect in &body.effects {
        let (Effect::Store(value, _) | Effect::Reduce { value, .. }) = effect;
        last[*value] = usize::MAX;
    }
    let mut free = Vec::new();
    let mut made = Assigned { there: Vec::new(), steps: Vec::new(), sources: Vec::new(), slots: 0 };
    for (time, instruction) in body.body.iter().enumerate() {
        if let Instruction::Load(access) = instruction
            && whole(access)
        {
            made.sources.push(Source::There(made.there.len()));
            made.there.push(access.clone());
            continue;
        }
        let to = free.pop().unwrap_or_else(|| {
            made.slots += 1;
            made.slots - 1
        });
        made.sources.push(Source::Slot(to));
        made.steps.push(Step { to, what: what(instruction, &made.sources) });
        let mut done: Vec<usize> = values(instruction).chain([time]).filter(|value| last[*value] == time).collect();
        done.sort_unstable();
        done.dedup();
        free.extend(done.into_iter().filter_map(|value| match made.sources[value] {
            Source::Slot(slot) => Some(slot),
            _ => None,
        }));
    }
    made
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

fn what(instruction: &Instruction, sources: &[Source]) -> What {
    let source = |operand: &Operand| match operand {
        Operand::Value(value) => sources[*value],
        Operand::Scalar(scalar) => Source::Scalar(*scalar),
    };
    match instruction {
        Instruction::Splat(scalar) => What::Splat(*scalar),
        Instruction::Load(access) => What::Load(access.clone()),
        Instruction::LoadStencil(access, taps) => What::LoadStencil(access.clone(), Weights::new(taps)),
        Instruction::RowStencil(value, taps) => What::RowStencil(sources[*value], Weights::new(taps)),
        Instruction::Apply(function, operands) => match operands.as_slice() {
            [a] => What::One(*function, source(a)),
            [a, b] => What::Two(*function, source(a), source(b)),
            [on, yes, no] => What::Select(source(on), source(yes), source(no)),
            _ => What::Splat(0),
        },
    }
}
