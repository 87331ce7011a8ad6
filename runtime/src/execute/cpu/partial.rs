//! Reductions in the making. Their bits depend only on the order and the number of the elements: 32 lanes in single precision, emptied
//! into double precision after a fixed number of elements.

use segc_compiler::kernel::Join;

use super::elementary::{maximum, minimum};

/// Results in single precision side by side; element `i` goes to lane `i % LANES`.
const LANES: usize = 32;

/// Elements after which the lanes are emptied.
const FLUSH: usize = 4096;

/// Elements that are reduced on their own, so that threads can share a long reduction; a multiple of [`FLUSH`].
pub(super) const BLOCK: usize = 1 << 16;

/// A reduction of elements that come in order, however they are cut.
pub(super) struct Partial {
    join: Join,
    lanes: [f32; LANES],
    /// Elements so far.
    count: usize,
    block: f64,
    total: f64,
}

impl Partial {
    pub fn new(join: Join) -> Partial {
        let none = f64::from(neutral(join));
        Partial { join, lanes: [neutral(join); LANES], count: 0, block: none, total: none }
    }

    #[inline(always)]
    pub fn add(&mut self, elements: &[f32]) {
        match self.join {
            Join::Sum => self.take(elements, |a, b| a + b),
            Join::Max => self.take(elements, maximum),
            Join::Min => self.take(elements, minimum),
        }
    }

    #[inline(always)]
    fn take(&mut self, elements: &[f32], join: impl Fn(f32, f32) -> f32) {
        let mut rest = elements;
        while !rest.is_empty() {
            let at = self.count % FLUSH;
            let (now, behind) = rest.split_at(rest.len().min(FLUSH - at));
            join_lanes(&mut self.lanes, at % LANES, now, &join);
            self.count += now.len();
            rest = behind;
            if self.count.is_multiple_of(FLUSH) {
                self.flush();
            }
            if self.count.is_multiple_of(BLOCK) {
                self.end_block();
            }
        }
    }

    /// Goes on with what another one made of the next block.
    pub fn join(&mut self, mut next: Partial) {
        next.finish();
        self.total = joined(self.join, self.total, next.total);
    }

    pub fn finish(&mut self) -> f32 {
        self.flush();
        self.end_block();
        self.total as f32
    }

    #[inline(always)]
    fn flush(&mut self) {
        // Halves are joined, then their halves: short chains of dependent operations.
        let mut wide = self.lanes.map(f64::from);
        let mut half = LANES / 2;
        while half > 0 {
            let (low, high) = wide.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                *a = joined(self.join, *a, *b);
            }
            half /= 2;
        }
        self.block = joined(self.join, self.block, wide[0]);
        self.lanes = [neutral(self.join); LANES];
    }

    fn end_block(&mut self) {
        self.total = joined(self.join, self.total, self.block);
        self.block = f64::from(neutral(self.join));
    }
}

#[inline(always)]
fn join_lanes(lanes: &mut [f32; LANES], first: usize, elements: &[f32], join: impl Fn(f32, f32) -> f32) {
    let head = if first == 0 { 0 } else { elements.len().min(LANES - first) };
    let (head, body) = elements.split_at(head);
    for (lane, x) in lanes[first..].iter_mut().zip(head) {
        *lane = join(*lane, *x);
    }
    let (chunks, rest) = body.as_chunks::<LANES>();
    let mut own = *lanes;
    for chunk in chunks {
        for i in 0..LANES {
            own[i] = join(own[i], chunk[i]);
        }
    }
    for (lane, x) in own.iter_mut().zip(rest) {
        *lane = join(*lane, *x);
    }
    *lanes = own;
}

/// Two results in double precision; extremes are exact in single precision.
#[inline(always)]
pub(super) fn joined(join: Join, a: f64, b: f64) -> f64 {
    match join {
        Join::Sum => a + b,
        Join::Max => f64::from(maximum(a as f32, b as f32)),
        Join::Min => f64::from(minimum(a as f32, b as f32)),
    }
}

/// What changes nothing when it is joined.
pub(super) fn neutral(join: Join) -> f32 {
    match join {
        Join::Sum => 0.0,
        Join::Max => f32::NEG_INFINITY,
        Join::Min => f32::INFINITY,
    }
}
