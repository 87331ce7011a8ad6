//! Runs one loop, tile by tile.
//!
//! What runs under wide instructions is written as `for`: the body of a `for_each` may end up in a function of its own, which is compiled
//! without them.

use std::ops::Range;

use segc_compiler::kernel::{Access, Function, Join, Over, Place, Scalar};

use super::alone::Hands;
use super::elementary::{Plain, one, two};
use super::native::{Parts, Phase};
use super::partial::Partial;
use super::prepare::{Leave, Source, TileLoop, To, What};
use super::stencil;

/// A loop with what it reads.
pub(super) struct Job<'a> {
    pub body: &'a TileLoop,
    pub scalars: &'a [f32],
    /// For each step the buffer that it loads from.
    pub sources: Vec<Buffer<'a>>,
    /// The buffers of the accesses that no step loads.
    pub there: Vec<Buffer<'a>>,
}

/// A buffer, or a part of one with the number of its elements that lie before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Buffer<'a> {
    pub part: &'a [f32],
    pub before: usize,
}

impl<'a> Buffer<'a> {
    #[inline(always)]
    pub fn from(self, element: usize) -> &'a [f32] {
        &self.part[element - self.before..]
    }
}

/// Tiles that one thread takes at once, and where they leave their results.
pub(super) struct Share<'a> {
    pub tiles: Range<usize>,
    /// Columns of a loop of one row that are taken instead of a tile; no more than a tile has.
    pub piece: Option<Range<usize>>,
    /// For each effect its own part of the results; empty for reductions over all.
    pub to: Vec<&'a mut [f32]>,
    /// Reductions over all.
    pub sums: Vec<Partial>,
}

/// What lies between parts that are written, with its place in the arena.
pub(super) type Between<'a> = (usize, &'a [f32]);

/// Runs a loop; `hands.own` holds the tiles, `results` those that lie over inputs.
pub(super) fn run(body: &TileLoop, inputs: &[&[f32]], arena: &mut [f32], results: &mut [Vec<f32>], scalars: &mut [f32], hands: &mut Hands) {
    fill(body, inputs, arena, scalars);
    let ranges: Vec<(usize, usize)> = body.leaves.iter().map(|leave| range(body, leave)).collect();
    let (mut to, reads) = split(&ranges, arena);
    over(body, results, &mut to);
    let buffer = |access: &Access| read(access.place, inputs, &reads);
    let (sources, there) = (body.steps.iter().map(|step| step.access().map_or(Buffer::default(), buffer)), body.there.iter().map(buffer));
    let job = Job { body, scalars, sources: sources.collect(), there: there.collect() };
    let mut shares = shares(body, to, hands.team.size());
    let arch = hands.arch;
    hands.team.each(shares.iter_mut(), hands.own, |share, memory| arch.dispatch(Work { job: &job, share, memory }));
    let mut shares = shares.into_iter();
    let Some(mut first) = shares.next() else { return };
    for share in shares {
        first.sums.iter_mut().zip(share.sums).for_each(|(sum, next)| sum.join(next));
    }
    for (leave, sum) in body.leaves.iter().zip(&mut first.sums) {
        if let Leave::Reduce { arena: at, over: Over::All, .. } = leave {
            arena[*at] = sum.finish();
        }
    }
}

/// The scalars of a loop.
pub(super) fn fill(body: &TileLoop, inputs: &[&[f32]], arena: &[f32], scalars: &mut [f32]) {
    for (slot, scalar) in scalars.iter_mut().zip(&body.scalars) {
        *slot = match scalar {
            Scalar::Number(value) => *value as f32,
            Scalar::At(place, element) => buffer(*place, inputs, arena)[*element],
        };
    }
}

/// Where a loop leaves something in the arena, and how many elements; none for a reduction over all, which comes at the end.
pub(super) fn range(body: &TileLoop, leave: &Leave) -> (usize, usize) {
    match leave {
        Leave::Store(_, access) => match access.place {
            Place::Arena(at) => (at + access.outer.first().unwrap_or(&0), body.outer * body.rows * body.columns),
            Place::Input(_) | Place::Result(_) => (0, 0),
        },
        Leave::Reduce { arena, over, .. } => match over {
            Over::All => (*arena, 0),
            Over::Rows => (*arena, body.outer),
            Over::Columns => (*arena, body.outer * body.rows),
        },
    }
}

/// A buffer that nothing writes now.
pub(super) fn read<'a>(place: Place, inputs: &[&'a [f32]], reads: &[Between<'a>]) -> Buffer<'a> {
    let part = match place {
        Place::Input(number) => inputs[number],
        Place::Arena(at) => reads.iter().rev().find(|(start, _)| *start <= at).map_or(&[][..], |(start, part)| &part[at - start..]),
        Place::Result(_) => &[],
    };
    Buffer { part, before: 0 }
}

/// Parts of the arena that are written, and what lies between them.
pub(super) fn split<'a>(ranges: &[(usize, usize)], arena: &'a mut [f32]) -> (Vec<&'a mut [f32]>, Vec<Between<'a>>) {
    let mut order: Vec<_> = ranges.iter().copied().enumerate().collect();
    order.sort_unstable_by_key(|(_, range)| *range);
    let mut to: Vec<&mut [f32]> = ranges.iter().map(|_| &mut [][..]).collect();
    let (mut reads, mut rest, mut start) = (Vec::new(), arena, 0);
    for (number, (at, size)) in order {
        let (before, behind) = rest.split_at_mut(at - start);
        let (own, behind) = behind.split_at_mut(size);
        reads.push((start, &*before));
        (to[number], rest, start) = (own, behind, at + size);
    }
    reads.push((start, &*rest));
    (to, reads)
}

/// The results that a loop writes over inputs, as its effects.
fn over<'a>(body: &TileLoop, results: &'a mut [Vec<f32>], to: &mut [&'a mut [f32]]) {
    let place = |leave: &Leave| match leave {
        Leave::Store(_, access) => access.place,
        Leave::Reduce { arena, .. } => Place::Arena(*arena),
    };
    if !body.leaves.iter().any(|leave| matches!(place(leave), Place::Result(_))) {
        return;
    }
    for (number, result) in results.iter_mut().enumerate() {
        if let Some(effect) = body.leaves.iter().position(|leave| place(leave) == Place::Result(number)) {
            to[effect] = result;
        }
    }
}

/// One share for a thread alone, else as many as shapes say.
fn shares<'a>(body: &TileLoop, mut to: Vec<&'a mut [f32]>, threads: usize) -> Vec<Share<'a>> {
    let [down, across] = body.grid();
    let tiles = body.outer * down * across;
    let item = if threads == 1 { tiles } else { body.item().min(tiles) }.max(1);
    let mut shares = Vec::with_capacity(tiles.div_ceil(item));
    for first in (0..tiles).step_by(item) {
        let tiles = first..(first + item).min(tiles);
        let elements = body.before(tiles.end) - body.before(first);
        let part = |(leave, to): (&Leave, &mut &'a mut [f32])| {
            let size = match leave {
                Leave::Store(..) => elements,
                Leave::Reduce { over: Over::All, .. } => 0,
                Leave::Reduce { over: Over::Rows, .. } => elements / (body.rows * body.columns),
                Leave::Reduce { over: Over::Columns, .. } => elements / body.columns,
            };
            let (own, rest) = std::mem::take(to).split_at_mut(size);
            *to = rest;
            own
        };
        let to = body.leaves.iter().zip(&mut to).map(part).collect();
        shares.push(Share { tiles, piece: None, to, sums: body.leaves.iter().map(partial).collect() });
    }
    shares
}

/// A share with its memory, run under the processor's widest instructions.
pub(super) struct Work<'a, 'b, 'c> {
    pub job: &'a Job<'a>,
    pub share: &'b mut Share<'c>,
    pub memory: &'b mut [f32],
}

impl pulp::WithSimd for Work<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let _ = simd;
        let Work { job: Job { body, scalars, sources, there }, share, memory } = self;
        let (tiles, rest) = memory.split_at_mut(body.tile_elements());
        let (rows, rest) = rest.split_at_mut(body.row_elements());
        let (away, padded) = rest.split_at_mut(body.native.away());
        let [down, across] = body.grid();
        let first = body.before(share.tiles.start);
        for number in share.tiles.clone() {
            let at = share.piece.as_ref().map_or_else(|| Tile::new(body, number), |piece| Tile::piece(body, piece));
            let from = if share.piece.is_some() { 0 } else { body.before(number) - first };
            for phase in &body.native.phases {
                let number = match phase {
                    Phase::Step(number) => *number,
                    Phase::Code(group) => {
                        let (lines, slots, to) = (&*rows, &mut *tiles, &mut share.to[..]);
                        let parts = Parts { tile: &at, scalars, there, sources, lines, slots, to, from, away: &mut *away };
                        body.native.run(group, body, parts);
                        continue;
                    }
                };
                let (step, source) = (&body.steps[number], sources[number]);
                let (mut slots, mut lines) = (Slots::new(tiles, at.slot), Slots::new(rows, body.height));
                let result = match step.to {
                    To::Slot(slot) => &mut slots.open(slot)[..at.elements()],
                    To::Row(slot) => &mut lines.open(slot)[..at.height],
                };
                let by_row = matches!(step.to, To::Row(_));
                let own = (&share.to[..], from);
                let values = Values { tile: &at, by_row, slots, lines, scalars, accesses: &body.there, buffers: there, own };
                at.step(&step.what, result, &values, source, padded, body.rows);
            }
            let ends = [number % (down * across) == down * across - 1, number % across == across - 1];
            for (((leave, stored), sum), to) in body.leaves.iter().zip(&body.native.stored).zip(&mut share.sums).zip(&mut share.to) {
                if *stored {
                    continue;
                }
                let value = match leave {
                    Leave::Store(value, _) | Leave::Reduce { value, .. } => at.whole(*value, tiles, &body.there, there),
                };
                at.leave(body, leave, sum, to, from, ends, value);
            }
        }
    }
}

pub(super) fn partial(leave: &Leave) -> Partial {
    match leave {
        Leave::Reduce { join, .. } => Partial::new(*join),
        Leave::Store(..) => Partial::new(Join::Sum),
    }
}

fn buffer<'a>(place: Place, inputs: &[&'a [f32]], arena: &'a [f32]) -> &'a [f32] {
    match place {
        Place::Input(number) => inputs[number],
        Place::Arena(at) => &arena[at..],
        Place::Result(_) => &[],
    }
}

/// Where a tile lies.
pub(super) struct Tile {
    pub outer: usize,
    pub row: usize,
    pub column: usize,
    pub height: usize,
    pub columns: usize,
    pub slot: usize,
}

impl Tile {
    #[inline(always)]
    fn new(body: &TileLoop, number: usize) -> Tile {
        let [down, across] = body.grid();
        let (row, column) = (number / across % down * body.height, number % across * body.width);
        let (height, columns) = (body.height.min(body.rows - row), body.width.min(body.columns - column));
        Tile { outer: number / across / down, row, column, height, columns, slot: body.slot_elements() }
    }

    #[inline(always)]
    fn piece(body: &TileLoop, columns: &Range<usize>) -> Tile {
        Tile { outer: 0, row: 0, column: columns.start, height: 1, columns: columns.len(), slot: body.slot_elements() }
    }

    #[inline(always)]
    pub(super) fn elements(&self) -> usize {
        self.height * self.columns
    }

    #[inline(always)]
    fn range(&self, slot: usize) -> std::ops::Range<usize> {
        slot * self.slot..slot * self.slot + self.elements()
    }

    /// A value element by element.
    #[inline(always)]
    fn whole<'a>(&self, value: Source, tiles: &'a [f32], accesses: &[Access], buffers: &[Buffer<'a>]) -> &'a [f32] {
        match value {
            Source::Slot(slot) => &tiles[self.range(slot)],
            Source::There(number) => self.there(&accesses[number], buffers[number]),
            // What effects need is never kept otherwise.
            Source::Row(_) | Source::Own(_) | Source::Scalar(_) => &[],
        }
    }

    /// The tile's part of a buffer, which lies in one piece.
    #[inline(always)]
    fn there<'a>(&self, access: &Access, buffer: Buffer<'a>) -> &'a [f32] {
        &buffer.from(self.start(access))[..self.elements()]
    }

    /// Where the tile's part of a buffer with neighbouring columns begins.
    #[inline(always)]
    pub(super) fn start(&self, access: &Access) -> usize {
        access.outer[self.outer] + self.row * access.rows + self.column
    }

    #[inline(always)]
    fn step(&self, what: &What, result: &mut [f32], values: &Values, source: Buffer, padded: &mut [f32], rows: usize) {
        let none = View::Same(0.0);
        let (a, b, c) = match what {
            What::Load(access) if values.by_row => return self.load_rows(access, source, result),
            What::Load(access) => return self.load(access, source, result),
            What::LoadStencil(access, weights) => {
                let from = source.from(access.outer[self.outer]);
                return stencil::from_buffer(self, weights, from, access.rows, rows, padded, result);
            }
            What::RowStencil(value, weights) => {
                if let View::Each(from) = values.view(*value) {
                    stencil::within_rows(self, weights, from, padded, result);
                }
                return;
            }
            What::One(_, a) => (values.view(*a), none, none),
            What::Two(_, a, b) => (values.view(*a), values.view(*b), none),
            What::Select(on, yes, no) => (values.view(*on), values.view(*yes), values.view(*no)),
        };
        // Row by row where a value is the same along each.
        let parts = if a.is_rows() || b.is_rows() || c.is_rows() { self.height } else { 1 };
        let size = result.len() / parts;
        for (number, result) in result.chunks_exact_mut(size.max(1)).enumerate() {
            let (a, b, c) = (a.part(number, size), b.part(number, size), c.part(number, size));
            match what {
                What::One(function, _) => one_of(*function, result, a),
                What::Two(function, ..) => two_of(*function, result, a, b),
                _ => select(result, a, b, c),
            }
        }
    }

    /// An element for each row.
    #[inline(always)]
    fn load_rows(&self, access: &Access, from: Buffer, result: &mut [f32]) {
        let from = from.from(access.outer[self.outer] + self.row * access.rows);
        for (row, x) in result.iter_mut().enumerate() {
            *x = from[row * access.rows];
        }
    }

    #[inline(always)]
    fn load(&self, access: &Access, from: Buffer, result: &mut [f32]) {
        let from = from.from(access.outer[self.outer] + self.row * access.rows + self.column * access.columns);
        for (row, line) in result.chunks_exact_mut(self.columns).enumerate() {
            let first = row * access.rows;
            match access.columns {
                1 => line.copy_from_slice(&from[first..first + self.columns]),
                0 => line.fill(from[first]),
                step => {
                    for (column, x) in line.iter_mut().enumerate() {
                        *x = from[first + column * step];
                    }
                }
            }
        }
    }

    /// `from` elements of the share lie before the tile; `ends` says whether it is the last of its outer index and of its rows.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn leave(&self, body: &TileLoop, leave: &Leave, sum: &mut Partial, to: &mut [f32], from: usize, ends: [bool; 2], value: &[f32]) {
        match leave {
            Leave::Store(..) => to[from..from + self.elements()].copy_from_slice(value),
            Leave::Reduce { over: Over::All, .. } => sum.add(value),
            Leave::Reduce { over: Over::Columns, .. } if self.columns == body.columns => {
                let rows = value.chunks_exact(self.columns);
                for (to, row) in to[from / body.columns..].iter_mut().zip(rows) {
                    let mut own = partial(leave);
                    own.add(row);
                    *to = own.finish();
                }
            }
            Leave::Reduce { over, .. } => {
                sum.add(value);
                let (ends, size) = if *over == Over::Rows { (ends[0], body.rows * body.columns) } else { (ends[1], body.columns) };
                if ends {
                    to[from / size] = sum.finish();
                    *sum = partial(leave);
                }
            }
        }
    }
}

/// Slots of one size, of which one may be open for writing.
struct Slots<'a> {
    size: usize,
    before: &'a mut [f32],
    /// The open one and what lies behind it.
    open: usize,
    behind: &'a mut [f32],
}

impl<'a> Slots<'a> {
    #[inline(always)]
    fn new(all: &'a mut [f32], size: usize) -> Slots<'a> {
        Slots { size, before: all, open: usize::MAX, behind: &mut [] }
    }

    #[inline(always)]
    fn open(&mut self, slot: usize) -> &'a mut [f32] {
        let (before, rest) = std::mem::take(&mut self.before).split_at_mut(slot * self.size);
        let (own, behind) = rest.split_at_mut(self.size);
        (self.before, self.open, self.behind) = (before, slot, behind);
        own
    }

    /// A slot that is not the open one: no step reads what it writes.
    #[inline(always)]
    fn get(&self, slot: usize, count: usize) -> &[f32] {
        if slot < self.open {
            &self.before[slot * self.size..][..count]
        } else {
            &self.behind[(slot - self.open - 1) * self.size..][..count]
        }
    }
}

/// What a step may read.
struct Values<'a> {
    tile: &'a Tile,
    /// Whether the step makes an element for each row.
    by_row: bool,
    slots: Slots<'a>,
    lines: Slots<'a>,
    scalars: &'a [f32],
    accesses: &'a [Access],
    buffers: &'a [Buffer<'a>],
    /// What effects write, and how many elements of the share lie before the tile.
    own: (&'a [&'a mut [f32]], usize),
}

/// An operand.
#[derive(Clone, Copy)]
enum View<'a> {
    Each(&'a [f32]),
    /// One element for each row.
    Rows(&'a [f32]),
    Same(f32),
}

impl Values<'_> {
    #[inline(always)]
    fn view(&self, source: Source) -> View<'_> {
        match source {
            Source::Scalar(scalar) => View::Same(self.scalars[scalar]),
            Source::There(number) => View::Each(self.tile.there(&self.accesses[number], self.buffers[number])),
            Source::Own(effect) => View::Each(&self.own.0[effect][self.own.1..][..self.tile.elements()]),
            Source::Slot(slot) => View::Each(self.slots.get(slot, self.tile.elements())),
            Source::Row(slot) => match self.lines.get(slot, self.tile.height) {
                rows if self.by_row => View::Each(rows),
                [one] => View::Same(*one),
                rows => View::Rows(rows),
            },
        }
    }
}

impl<'a> View<'a> {
    #[inline(always)]
    fn is_rows(self) -> bool {
        matches!(self, View::Rows(_))
    }

    /// One of the parts of `size` elements.
    #[inline(always)]
    fn part(self, number: usize, size: usize) -> View<'a> {
        match self {
            View::Each(x) => View::Each(&x[number * size..][..size]),
            View::Rows(x) => View::Same(x[number]),
            same => same,
        }
    }
}

#[inline(always)]
fn one_of(function: Function, to: &mut [f32], a: View) {
    macro_rules! each {
        ($f:expr) => {
            map_one(to, a, $f)
        };
    }
    // By name, so that each is part of the loop.
    macro_rules! by_name {
        ($($name:ident),*) => {
            match function {
                $(Function::$name => each!(|x| one(&mut Plain, Function::$name, x)),)*
                Function::Log1p => each!(f32::ln_1p),
                Function::Sin => each!(f32::sin),
                Function::Cos => each!(f32::cos),
                _ => each!(|x| x),
            }
        };
    }
    by_name!(Negate, Exp, Log, Sqrt, Erf, Tanh, Sigmoid, Softplus, Abs, Sign, Floor, Round, Not)
}

#[inline(always)]
fn map_one(to: &mut [f32], a: View, f: impl Fn(f32) -> f32) {
    match a {
        View::Each(x) | View::Rows(x) => {
            for (r, x) in to.iter_mut().zip(x) {
                *r = f(*x);
            }
        }
        View::Same(a) => to.fill(f(a)),
    }
}

#[inline(always)]
fn two_of(function: Function, to: &mut [f32], a: View, b: View) {
    macro_rules! each {
        ($f:expr) => {
            map_two(to, a, b, $f)
        };
    }
    macro_rules! by_name {
        ($($name:ident),*) => {
            match function {
                $(Function::$name => each!(|a, b| two(&mut Plain, Function::$name, a, b)),)*
                Function::Power => each!(f32::powf),
                _ => {}
            }
        };
    }
    by_name!(Add, Subtract, Multiply, Divide, Maximum, Minimum, Modulo, Equal, NotEqual, Less, LessEqual, And, Or)
}

#[inline(always)]
fn map_two(to: &mut [f32], a: View, b: View, f: impl Fn(f32, f32) -> f32) {
    match (a, b) {
        (View::Same(a), View::Same(b)) => to.fill(f(a, b)),
        (View::Each(x) | View::Rows(x), View::Same(b)) => {
            for (r, x) in to.iter_mut().zip(x) {
                *r = f(*x, b);
            }
        }
        (View::Same(a), View::Each(y) | View::Rows(y)) => {
            for (r, y) in to.iter_mut().zip(y) {
                *r = f(a, *y);
            }
        }
        (View::Each(x) | View::Rows(x), View::Each(y) | View::Rows(y)) => {
            for ((r, x), y) in to.iter_mut().zip(x).zip(y) {
                *r = f(*x, *y);
            }
        }
    }
}

/// `on` chooses.
#[inline(always)]
fn select(to: &mut [f32], on: View, yes: View, no: View) {
    let pick = |on: f32, yes: f32, no: f32| if on != 0.0 { yes } else { no };
    match (on, yes, no) {
        (View::Same(on), ..) => map_one(to, if on != 0.0 { yes } else { no }, |x| x),
        (on, View::Same(yes), no) => map_two(to, on, no, |on, no| pick(on, yes, no)),
        (on, yes, View::Same(no)) => map_two(to, on, yes, |on, yes| pick(on, yes, no)),
        (View::Each(on) | View::Rows(on), View::Each(yes) | View::Rows(yes), View::Each(no) | View::Rows(no)) => {
            for (((r, on), yes), no) in to.iter_mut().zip(on).zip(yes).zip(no) {
                *r = pick(*on, *yes, *no);
            }
        }
    }
}
