//! Runs one loop, tile by tile.

use segc_compiler::kernel::{Access, Function, Join, Place, Scalar};

use super::super::Scratch;
use super::elementary::{maximum, minimum, one, sign, truth};
use super::partial::Partial;
use super::prepare::{Leave, Source, TileLoop, What};
use super::stencil;

/// A loop with its memory, run under the processor's widest instructions.
pub(super) struct Run<'a> {
    pub body: &'a TileLoop,
    pub inputs: &'a [&'a [f32]],
    pub scratch: &'a mut Scratch,
}

impl pulp::WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let _ = simd;
        let Run { body, inputs, scratch } = self;
        let Scratch { arena, tiles, scalars, padded, .. } = scratch;
        let (arena, tiles, padded): (&mut [f32], &mut [f32], &mut [f32]) = (arena, tiles, padded);
        for (slot, scalar) in scalars.iter_mut().zip(&body.scalars) {
            *slot = match scalar {
                Scalar::Number(value) => *value as f32,
                Scalar::At(place, element) => buffer(*place, inputs, arena)[*element],
            };
        }
        let mut sums: Vec<Partial> = body.leaves.iter().map(partial).collect();
        for outer in 0..body.outer {
            for row in (0..body.rows).step_by(body.height) {
                let height = body.height.min(body.rows - row);
                let at = Tile { outer, row, height, columns: body.columns, slot: body.slot_elements() };
                for step in &body.steps {
                    at.step(step.to, &step.what, inputs, arena, tiles, scalars, padded, body.rows);
                }
                for (leave, sum) in body.leaves.iter().zip(&mut sums) {
                    at.leave(leave, sum, arena, tiles);
                }
            }
            settle(body, outer, &mut sums, arena, true);
        }
        settle(body, 0, &mut sums, arena, false);
    }
}

fn partial(leave: &Leave) -> Partial {
    match leave {
        Leave::Reduce { join, .. } => Partial::new(*join),
        Leave::Store(..) => Partial::new(Join::Sum),
    }
}

/// Writes finished reductions: those of one index of the outer axes, or those over all.
fn settle(body: &TileLoop, outer: usize, sums: &mut [Partial], arena: &mut [f32], ends: bool) {
    for (leave, sum) in body.leaves.iter().zip(sums) {
        if let Leave::Reduce { arena: at, each, .. } = leave
            && *each == ends
        {
            arena[at + outer] = sum.finish();
            *sum = partial(leave);
        }
    }
}

#[inline(always)]
pub(super) fn buffer<'a>(place: Place, inputs: &[&'a [f32]], arena: &'a [f32]) -> &'a [f32] {
    match place {
        Place::Input(number) => inputs[number],
        Place::Arena(at) => &arena[at..],
    }
}

/// Where a tile lies.
pub(super) struct Tile {
    pub outer: usize,
    pub row: usize,
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
    fn step(
        &self,
        to: usize,
        what: &What,
        inputs: &[&[f32]],
        arena: &[f32],
        tiles: &mut [f32],
        scalars: &[f32],
        padded: &mut [f32],
        rows: usize,
    ) {
        match what {
            What::Splat(scalar) => tiles[self.range(to)].fill(scalars[*scalar]),
            What::Load(access) => self.load(access, buffer(access.place, inputs, arena), &mut tiles[self.range(to)]),
            What::LoadStencil(access, weights) => {
                let from = &buffer(access.place, inputs, arena)[access.outer[self.outer]..];
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
        let start = access.outer[self.outer] + self.row * access.rows;
        if access.columns == 1 && access.rows == self.columns {
            return result.copy_from_slice(&from[start..start + self.elements()]);
        }
        for (row, line) in result.chunks_exact_mut(self.columns).enumerate() {
            let first = start + row * access.rows;
            match access.columns {
                1 => line.copy_from_slice(&from[first..first + self.columns]),
                0 => line.fill(from[first]),
                step => line.iter_mut().enumerate().for_each(|(column, x)| *x = from[first + column * step]),
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
                    result.iter_mut().zip(x).for_each(|(r, x)| *r = f(*x));
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
                    result.iter_mut().zip(x.iter().zip(y.iter())).for_each(|(r, (x, y))| *r = f(*x, *y));
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
                            result.iter_mut().zip(on).for_each(|(r, on)| *r = if *on != 0.0 { yes } else { *r });
                        }
                    }
                    Source::Slot(yes) if yes == on => {
                        if let Some((result, on)) = self.pair(tiles, to, on) {
                            result.iter_mut().zip(on).for_each(|(r, on)| *r = if *on != 0.0 { *on } else { *r });
                        }
                    }
                    Source::Slot(yes) => {
                        if let Ok([result, on, yes]) = tiles.get_disjoint_mut([self.range(to), self.range(on), self.range(yes)]) {
                            let sides = on.iter().zip(yes.iter());
                            result.iter_mut().zip(sides).for_each(|(r, (on, yes))| *r = if *on != 0.0 { *yes } else { *r });
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn leave(&self, leave: &Leave, sum: &mut Partial, arena: &mut [f32], tiles: &[f32]) {
        match leave {
            Leave::Store(slot, access) => {
                let Place::Arena(base) = access.place else { return };
                let start = base + access.outer[self.outer] + self.row * self.columns;
                arena[start..start + self.elements()].copy_from_slice(&tiles[self.range(*slot)]);
            }
            Leave::Reduce { slot, .. } => sum.add(&tiles[self.range(*slot)]),
        }
    }
}
