//! Where buffers lie in the arena: those that live at the same time apart.

use std::collections::BTreeMap;

/// A buffer's elements, with those that are kept free behind it, and the first and last kernel that need it.
#[derive(Clone, Copy)]
pub(super) struct Life {
    pub size: usize,
    pub first: usize,
    pub last: usize,
}

/// First elements of all buffers, and elements of the arena.
pub(super) struct Places {
    pub at: Vec<usize>,
    pub end: usize,
}

/// Places for buffers that are ordered by their first kernels: in turn, so that memory is used again while it is near, or, where that
/// leaves too many holes, the largest first.
pub(super) fn places(lives: &[Life]) -> Places {
    let (turns, packed) = (in_turn(lives), largest_first(lives));
    if packed.end + turns.end / HOLES < turns.end { packed } else { turns }
}

/// One part in so many of the arena may be lost to holes.
const HOLES: usize = 32;

/// Takes and gives memory back in the order of the kernels.
fn in_turn(lives: &[Life]) -> Places {
    let mut free = Free::default();
    let mut ends: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    let mut at = Vec::with_capacity(lives.len());
    for life in lives {
        while let Some(over) = ends.first_entry().filter(|entry| *entry.key() < life.first) {
            over.remove().into_iter().for_each(|(at, size)| free.give(at, size));
        }
        let start = free.take(life.size);
        ends.entry(life.last).or_default().push((start, life.size));
        at.push(start);
    }
    Places { at, end: free.end }
}

/// Each at the lowest place where no buffer lies that lives at the same time.
fn largest_first(lives: &[Life]) -> Places {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|buffer| (std::cmp::Reverse(lives[*buffer].size), *buffer));
    let mut at = vec![0; lives.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(lives.len());
    let mut end = 0;
    for buffer in order {
        let own = lives[buffer];
        let mut start = 0;
        for other in &placed {
            let life = lives[*other];
            if life.first > own.last || own.first > life.last || at[*other] + life.size <= start {
                continue;
            }
            if at[*other] >= start + own.size {
                break;
            }
            start = at[*other] + life.size;
        }
        at[buffer] = start;
        end = end.max(start + own.size);
        placed.insert(placed.partition_point(|other| at[*other] < start), buffer);
    }
    Places { at, end }
}

/// Memory that is taken and given back in pieces.
#[derive(Default)]
struct Free {
    /// Start and length of each free piece below the end; no two touch.
    free: BTreeMap<usize, usize>,
    /// Elements so far.
    end: usize,
}

impl Free {
    /// The start of `size` elements: in the smallest free piece that is large enough, else at the end.
    fn take(&mut self, size: usize) -> usize {
        let fits = self.free.iter().filter(|(_, length)| **length >= size).min_by_key(|(_, length)| **length);
        let (at, length) = match (fits, self.free.last_key_value()) {
            (Some((at, length)), _) => (*at, *length),
            (None, Some((at, length))) if at + length == self.end => (*at, size),
            _ => (self.end, size),
        };
        self.free.remove(&at);
        self.end = self.end.max(at + size);
        if length > size {
            self.free.insert(at + size, length - size);
        }
        at
    }

    /// Gives `size` elements from `at` on back.
    fn give(&mut self, at: usize, size: usize) {
        let (mut start, mut end) = (at, at + size);
        if let Some((before, length)) = self.free.range(..at).next_back().map(|(a, b)| (*a, *b)).filter(|(a, b)| a + b == at) {
            (start, end) = (before, before + length + size);
        }
        if let Some(length) = self.free.remove(&end) {
            end += length;
        }
        self.free.insert(start, end - start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_way_lets_live_buffers_overlap_and_packing_fills_holes() {
        let life = |size, first, last| Life { size, first, last };
        let mut lives: Vec<Life> = (0..200).map(|k| life(16 * (1 + k * 7 % 23), k / 2, k / 2 + k * 13 % 31)).collect();
        lives.sort_by_key(|life| life.first);
        for Places { at, end } in [in_turn(&lives), largest_first(&lives)] {
            for (a, x) in lives.iter().enumerate() {
                assert!(at[a] + x.size <= end);
                for (b, y) in lives.iter().enumerate().take(a) {
                    let together = x.first <= y.last && y.first <= x.last;
                    assert!(!together || at[a] + x.size <= at[b] || at[b] + y.size <= at[a], "{a} and {b}");
                }
            }
        }
        // Small ones at both sides of a large one leave a hole that a larger one does not fit into.
        let lives = [life(16, 0, 9), life(64, 0, 1), life(16, 0, 9), life(80, 2, 9)];
        assert_eq!([in_turn(&lives).end, places(&lives).end], [176, 112]);
    }
}
