//! Runs one loop, tile by tile.
//!
//! What runs under wide instructions is written as `for`: the body of a `for_each` may end up in a function of its own, which is compiled
//! without them.

use std::ops::Range;

use segc_compiler::kernel::{Access, Function, Join, Over, Place, Scalar};

use super::alone::Hands;
use super::elementary::{exp, maximum, minimum, one, sigmoid, sign, softplus, tanh, truth};
use super::partial::Partial;
use super::prepare::{Leave, Source, Step, TileLoop, What};
use super::stencil;

/// A loop with what it reads.
struct Job<'a> {
    body: &'a TileLoop,
    scalars: &'a [f32],
    /// For each step the buffer that it loads from.
    sources: Vec<&'a [f32]>,
}

/// Tiles that one thread takes at once, and where they leave their results.
struct Share<'a> {
    tiles: Range<usize>,
    /// For each effect its own part of the results; empty for reductions over all.
    to: Vec<&'a mut [f32]>,
    /// Reductions over all.
    sums: Vec<Partial>,
}

/// What lies between the buffers that a loop writes, with its place in the arena.
type Between<'a> = (usize, &'a [f32]);

/// Runs a loop; `hands.own` holds the tiles.
pub(super) fn run(body: &TileLoop, inputs: &[&[f32]], arena: &mut [f32], scalars: &mut [f32], hands: &mut Hands) {
    for (slot, scalar) in scalars.iter_mut().zip(&body.scalars) {
        *slot = match scalar {
            Scalar::Number(value) => *value as f32,
            Scalar::At(place, element) => buffer(*place, inputs, arena)[*element],
        };
    }
    let (to, reads) = split(body, arena);
    let source = |step: &Step| match &step.what {
        What::Load(access) | What::LoadStencil(access, _) => match access.place {
            Place::Input(number) => inputs[number],
            Place::Arena(at) => reads.iter().rev().find(|(start, _)| *start <= at).map_or(&[][..], |(start, part)| &part[at - start..]),
        },
        _ => &[],
    };
    let job = Job { body, scalars, sources: body.steps.iter().map(source).collect() };
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

/// The buffers that a loop writes, in the order of its effects, and what lies between them with its place in the arena.
fn split<'a>(body: &TileLoop, arena: &'a mut [f32]) -> (Vec<&'a mut [f32]>, Vec<Between<'a>>) {
    let range = |leave: &Leave| match leave {
        Leave::Store(_, access) => match access.place {
            Place::Arena(at) => (at + access.outer.first().unwrap_or(&0), body.outer * body.rows * body.columns),
            Place::Input(_) => (0, 0),
        },
        Leave::Reduce { arena, over, .. } => match over {
            Over::All => (*arena, 0),
            Over::Rows => (*arena, body.outer),
            Over::Columns => (*arena, body.outer * body.rows),
        },
    };
    let mut order: Vec<_> = body.leaves.iter().map(range).enumerate().collect();
    order.sort_unstable_by_key(|(_, range)| *range);
    let mut to: Vec<&mut [f32]> = body.leaves.iter().map(|_| &mut [][..]).collect();
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
        shares.push(Share { tiles, to, sums: body.leaves.iter().map(partial).collect() });
    }
    shares
}

/// A share with its memory, run under the processor's widest instructions.
struct Work<'a, 'b, 'c> {
    job: &'a Job<'a>,
    share: &'b mut Share<'c>,
    memory: &'b mut [f32],
}

impl pulp::WithSimd for Work<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let _ = simd;
        let Work { job: Job { body, scalars, sources }, share, memory } = self;
        let (tiles, padded) = memory.split_at_mut(body.tile_elements());
        let [down, across] = body.grid();
        let first = body.before(share.tiles.start);
        for number in share.tiles.clone() {
            let (row, column) = (number / across % down * body.height, number % across * body.width);
            let (height, columns) = (body.height.min(body.rows - row), body.width.min(body.columns - column));
            let at = Tile { outer: number / across / down, row, column, height, columns, slot: body.slot_elements() };
            for (step, source) in body.steps.iter().zip(sources) {
                at.step(step.to, &step.what, source, tiles, scalars, padded, body.rows);
            }
            let ends = [number % (down * across) == down * across - 1, number % across == across - 1];
            let from = body.before(number) - first;
            for ((leave, sum), to) in body.leaves.iter().zip(&mut share.sums).zip(&mut share.to) {
                at.leave(body, leave, sum, to, from, ends, tiles);
            }
        }
    }
}

fn partial(leave: &Leave) -> Partial {
    match leave {
        Leave::Reduce { join, .. } => Partial::new(*join),
        Leave::Store(..) => Partial::new(Join::Sum),
    }
}

fn buffer<'a>(place: Place, inputs: &[&'a [f32]], arena: &'a [f32]) -> &'a [f32] {
    match place {
        Place::Input(number) => inputs[number],
        Place::Arena(at) => &arena[at..],
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
    fn elements(&self) -> usize {
        self.height * self.columns
    }

    #[inline(always)]
    fn range(&self, slot: usize) -> std::ops::Range<usize> {
        slot * self.slot..slot * self.slot + self.elements()
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn step(&self, to: usize, what: &What, source: &[f32], tiles: &mut [f32], scalars: &[f32], padded: &mut [f32], rows: usize) {
        match what {
            What::Splat(scalar) => tiles[self.range(to)].fill(scalars[*scalar]),
            What::Load(access) => self.load(access, source, &mut tiles[self.range(to)]),
            What::LoadStencil(access, weights) => {
                let from = &source[access.outer[self.outer]..];
                stencil::from_buffer(self, weights, from, access.rows, rows, padded, &mut tiles[self.range(to)]);
            }
            What::RowStencil(slot, weights) => {
                if let Some((result, from)) = self.pair(tiles, to, *slot) {
                    stencil::within_rows(self, weights, from, padded, result);
                }
            }
            What::One(function, a) => self.one(*function, to, *a, tiles, scalars),
            What::Two(function, a, b) => self.two(*function, to, *a, *b, tiles, scalars),
            What::Select(on, yes, no) => self.select(to, [*on, *yes, *no], tiles, scalars),
        }
    }

    #[inline(always)]
    fn load(&self, access: &Access, from: &[f32], result: &mut [f32]) {
        let start = access.outer[self.outer] + self.row * access.rows + self.column * access.columns;
        if access.columns == 1 && (self.height == 1 || access.rows == self.columns) {
            return result.copy_from_slice(&from[start..start + self.elements()]);
        }
        for (row, line) in result.chunks_exact_mut(self.columns).enumerate() {
            let first = start + row * access.rows;
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

    /// The slot that is written and one that is read.
    #[inline(always)]
    fn pair<'a>(&self, tiles: &'a mut [f32], to: usize, from: usize) -> Option<(&'a mut [f32], &'a [f32])> {
        let [to, from] = tiles.get_disjoint_mut([self.range(to), self.range(from)]).ok()?;
        Some((to, from))
    }

    #[inline(always)]
    fn one(&self, function: Function, to: usize, a: Source, tiles: &mut [f32], scalars: &[f32]) {
        macro_rules! each {
            ($f:expr) => {
                self.map_one(to, a, tiles, scalars, $f)
            };
        }
        match function {
            Function::Copy => each!(|x| x),
            Function::Negate => each!(|x: f32| -x),
            Function::Sqrt => each!(|x: f32| x.sqrt()),
            Function::Abs => each!(|x: f32| x.abs()),
            Function::Sign => each!(sign),
            Function::Floor => each!(|x: f32| x.floor()),
            Function::Round => each!(|x: f32| x.round_ties_even()),
            Function::Not => each!(|x: f32| 1.0 - x),
            // By name, so that they are part of the loop.
            Function::Exp => each!(exp),
            Function::Tanh => each!(tanh),
            Function::Sigmoid => each!(sigmoid),
            Function::Softplus => each!(softplus),
            other => {
                let f = one(other);
                each!(f)
            }
        }
    }

    #[inline(always)]
    fn map_one(&self, to: usize, a: Source, tiles: &mut [f32], scalars: &[f32], f: impl Fn(f32) -> f32) {
        match a {
            Source::Scalar(scalar) => tiles[self.range(to)].fill(f(scalars[scalar])),
            Source::Slot(slot) => {
                if let Some((result, x)) = self.pair(tiles, to, slot) {
                    for (r, x) in result.iter_mut().zip(x) {
                        *r = f(*x);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn two(&self, function: Function, to: usize, a: Source, b: Source, tiles: &mut [f32], scalars: &[f32]) {
        macro_rules! each {
            ($f:expr) => {
                self.map_two(to, a, b, tiles, scalars, $f)
            };
        }
        match function {
            Function::Add => each!(|a, b| a + b),
            Function::Subtract => each!(|a, b| a - b),
            Function::Multiply => each!(|a, b| a * b),
            Function::Divide => each!(|a, b| a / b),
            Function::Power => each!(|a: f32, b| a.powf(b)),
            Function::Maximum => each!(maximum),
            Function::Minimum => each!(minimum),
            Function::Modulo => each!(|a: f32, b: f32| a - b * (a / b).floor()),
            Function::Equal => each!(|a, b| truth(a == b)),
            Function::NotEqual => each!(|a, b| truth(a != b)),
            Function::Less => each!(|a, b| truth(a < b)),
            Function::LessEqual => each!(|a, b| truth(a <= b)),
            Function::And => each!(|a, b| truth((a != 0.0) & (b != 0.0))),
            Function::Or => each!(|a, b| truth((a != 0.0) | (b != 0.0))),
            _ => {}
        }
    }

    #[inline(always)]
    fn map_two(&self, to: usize, a: Source, b: Source, tiles: &mut [f32], scalars: &[f32], f: impl Fn(f32, f32) -> f32) {
        match (a, b) {
            (Source::Scalar(a), Source::Scalar(b)) => tiles[self.range(to)].fill(f(scalars[a], scalars[b])),
            (Source::Slot(a), Source::Scalar(b)) => {
                let b = scalars[b];
                self.map_one(to, Source::Slot(a), tiles, scalars, |x| f(x, b));
            }
            (Source::Scalar(a), Source::Slot(b)) => {
                let a = scalars[a];
                self.map_one(to, Source::Slot(b), tiles, scalars, |x| f(a, x));
            }
            (Source::Slot(a), Source::Slot(b)) if a == b => self.map_one(to, Source::Slot(a), tiles, scalars, |x| f(x, x)),
            (Source::Slot(a), Source::Slot(b)) => {
                if let Ok([result, x, y]) = tiles.get_disjoint_mut([self.range(to), self.range(a), self.range(b)]) {
                    for ((r, x), y) in result.iter_mut().zip(x.iter()).zip(y.iter()) {
                        *r = f(*x, *y);
                    }
                }
            }
        }
    }

    /// `on` chooses; done in two passes so that either side may be a scalar.
    #[inline(always)]
    fn select(&self, to: usize, [on, yes, no]: [Source; 3], tiles: &mut [f32], scalars: &[f32]) {
        match on {
            Source::Scalar(on) => self.map_one(to, if scalars[on] != 0.0 { yes } else { no }, tiles, scalars, |x| x),
            Source::Slot(on) => {
                self.map_one(to, no, tiles, scalars, |x| x);
                match yes {
                    Source::Scalar(yes) => {
                        let yes = scalars[yes];
                        if let Some((result, on)) = self.pair(tiles, to, on) {
                            for (r, on) in result.iter_mut().zip(on) {
                                *r = if *on != 0.0 { yes } else { *r };
                            }
                        }
                    }
                    Source::Slot(yes) if yes == on => {
                        if let Some((result, on)) = self.pair(tiles, to, on) {
                            for (r, on) in result.iter_mut().zip(on) {
                                *r = if *on != 0.0 { *on } else { *r };
                            }
                        }
                    }
                    Source::Slot(yes) => {
                        if let Ok([result, on, yes]) = tiles.get_disjoint_mut([self.range(to), self.range(on), self.range(yes)]) {
                            for ((r, on), yes) in result.iter_mut().zip(on.iter()).zip(yes.iter()) {
                                *r = if *on != 0.0 { *yes } else { *r };
                            }
                        }
                    }
                }
            }
        }
    }

    /// `from` elements of the share lie before the tile; `ends` says whether it is the last of its outer index and of its rows.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn leave(&self, body: &TileLoop, leave: &Leave, sum: &mut Partial, to: &mut [f32], from: usize, ends: [bool; 2], tiles: &[f32]) {
        match leave {
            Leave::Store(slot, _) => to[from..from + self.elements()].copy_from_slice(&tiles[self.range(*slot)]),
            Leave::Reduce { slot, over: Over::All, .. } => sum.add(&tiles[self.range(*slot)]),
            Leave::Reduce { slot, over: Over::Columns, .. } if self.columns == body.columns => {
                let rows = tiles[self.range(*slot)].chunks_exact(self.columns);
                for (to, row) in to[from / body.columns..].iter_mut().zip(rows) {
                    let mut own = partial(leave);
                    own.add(row);
                    *to = own.finish();
                }
            }
            Leave::Reduce { slot, over, .. } => {
                sum.add(&tiles[self.range(*slot)]);
                let (ends, size) = if *over == Over::Rows { (ends[0], body.rows * body.columns) } else { (ends[1], body.columns) };
                if ends {
                    to[from / size] = sum.finish();
                    *sum = partial(leave);
                }
            }
        }
    }
}
