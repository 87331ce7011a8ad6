//! Sparse linear maps along an axis.

use pulp::Simd;

use super::{Hands, ITEM, Room, around};

/// Entries that are summed in single precision where they are not summed side by side.
const SHORT: usize = 16;

/// A map along an axis.
pub(super) struct Resample {
    size: usize,
    inner: usize,
    /// Where the entries of each place begin, and their end.
    starts: Vec<usize>,
    entries: Vec<(usize, f32)>,
    even: Option<Even>,
    /// Where each element of a block comes from, where a small block is only put in another order.
    picks: Option<Vec<u32>>,
}

/// Most elements of a block that is moved by a table.
const TABLE: usize = 4096;

/// The table of [`Resample::picks`].
fn picks(size: usize, inner: usize, rows: &[Vec<(usize, f64)>]) -> Option<Vec<u32>> {
    // Long lines are better copied whole.
    if inner >= 8 || size.max(rows.len()) * inner > TABLE {
        return None;
    }
    let lone = |row: &Vec<(usize, f64)>| match row[..] {
        [(place, 1.0)] => Some((0..inner).map(move |at| (place * inner + at) as u32)),
        _ => None,
    };
    Some(rows.iter().map(lone).collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

/// A map of the last axis that treats all its elements alike, and so those of all rows at once.
enum Even {
    /// Every result is the same weighted sum of elements of its own.
    Joins(Vec<f32>),
    /// Every element is repeated so often with a weight.
    Repeats(usize, f32),
}

impl Even {
    fn of(size: usize, rows: &[Vec<(usize, f64)>]) -> Option<Even> {
        let first = rows.first()?;
        let (joined, repeated) = (first.len(), rows.len() / size.max(1));
        let joins = |(number, row): (usize, &Vec<(usize, f64)>)| {
            let places = number * joined..;
            row.len() == joined && row.iter().zip(first).zip(places).all(|((entry, known), place)| *entry == (place, known.1))
        };
        if joined > 0 && joined * rows.len() == size && rows.iter().enumerate().all(joins) {
            return Some(Even::Joins(first.iter().map(|(_, weight)| *weight as f32).collect()));
        }
        let weight = first.first()?.1;
        let repeats = |(number, row): (usize, &Vec<(usize, f64)>)| row[..] == [(number / repeated, weight)];
        (repeated * size == rows.len() && rows.iter().enumerate().all(repeats)).then_some(Even::Repeats(repeated, weight as f32))
    }
}

impl Resample {
    pub fn new(shape: &[usize], axis: usize, rows: &[Vec<(usize, f64)>]) -> Resample {
        let [_, size, inner] = around(shape, axis);
        let starts = rows.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        });
        let entries = rows.iter().flatten().map(|(place, weight)| (*place, *weight as f32)).collect();
        let even = if inner == 1 { Even::of(size, rows) } else { None };
        let picks = if even.is_none() { picks(size, inner, rows) } else { None };
        Resample { size, inner, starts: std::iter::once(0).chain(starts).collect(), entries, even, picks }
    }

    fn row(&self, number: usize) -> &[(usize, f32)] {
        &self.entries[self.starts[number]..self.starts[number + 1]]
    }
}

impl Room for Resample {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let (rows, arch) = (self.starts.len() - 1, hands.arch);
        let (block, whole) = ((self.size * self.inner).max(1), (rows * self.inner).max(1));
        let group = (ITEM / whole).max(1);
        let items = result.chunks_mut(group * whole).zip(operands[0].chunks(group * block));
        hands.team.each(items, hands.own, |(to, from), _| arch.dispatch(Blocks { room: self, from, to }));
    }
}

/// The axis at some places of the axes before it.
struct Blocks<'a> {
    room: &'a Resample,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl pulp::WithSimd for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Blocks { room, from, to } = self;
        match &room.even {
            Some(Even::Joins(weights)) => joined(weights, from, to),
            Some(Even::Repeats(count, weight)) => repeated(*count, *weight, from, to),
            None => {
                let (block, whole) = ((room.size * room.inner).max(1), ((room.starts.len() - 1) * room.inner).max(1));
                // A loop, since a closure of this size would be a function of its own, without SIMD.
                for (to, from) in to.chunks_mut(whole).zip(from.chunks(block)) {
                    match &room.picks {
                        Some(picks) => {
                            for (to, place) in to.iter_mut().zip(picks) {
                                *to = from[*place as usize];
                            }
                        }
                        None => room.block(from, to),
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn joined(weights: &[f32], from: &[f32], to: &mut [f32]) {
    if let [a, b] = weights {
        for (to, [x, y]) in to.iter_mut().zip(from.as_chunks::<2>().0) {
            *to = y.mul_add(*b, x * a);
        }
        return;
    }
    for (to, x) in to.iter_mut().zip(from.chunks(weights.len())) {
        let mut sum = 0.0;
        for (x, weight) in x.iter().zip(weights) {
            sum = x.mul_add(*weight, sum);
        }
        *to = sum;
    }
}

#[inline(always)]
fn repeated(count: usize, weight: f32, from: &[f32], to: &mut [f32]) {
    if count == 2 {
        for (to, x) in to.as_chunks_mut::<2>().0.iter_mut().zip(from) {
            *to = [weight * x; 2];
        }
        return;
    }
    for (to, x) in to.chunks_mut(count).zip(from) {
        to.fill(weight * x);
    }
}

impl Resample {
    /// The axis at one place of the axes before it.
    #[inline(always)]
    fn block(&self, from: &[f32], to: &mut [f32]) {
        let inner = self.inner;
        if inner == 1 {
            for (number, to) in to.iter_mut().enumerate() {
                *to = match self.row(number) {
                    [(place, 1.0)] => from[*place],
                    row if row.len() <= SHORT => {
                        let mut sum = 0.0;
                        for (place, weight) in row {
                            sum = from[*place].mul_add(*weight, sum);
                        }
                        sum
                    }
                    row => row.iter().map(|(place, weight)| f64::from(*weight) * f64::from(from[*place])).sum::<f64>() as f32,
                };
            }
            return;
        }
        let line = |place: usize| &from[place * inner..][..inner];
        for (number, to) in to.chunks_mut(inner).enumerate() {
            match self.row(number) {
                [] => to.fill(0.0),
                [(place, 1.0)] => to.copy_from_slice(line(*place)),
                [(a, weight), (b, other)] => {
                    for (to, (x, y)) in to.iter_mut().zip(line(*a).iter().zip(line(*b))) {
                        *to = y.mul_add(*other, weight * x);
                    }
                }
                [(place, weight), rest @ ..] => {
                    for (to, x) in to.iter_mut().zip(line(*place)) {
                        *to = weight * x;
                    }
                    for (place, weight) in rest {
                        for (to, x) in to.iter_mut().zip(line(*place)) {
                            *to = x.mul_add(*weight, *to);
                        }
                    }
                }
            }
        }
    }
}
