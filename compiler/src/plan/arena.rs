//! Which elements of the arena are free.

use std::collections::BTreeMap;

/// Memory that is taken and given back in pieces.
#[derive(Default)]
pub(super) struct Arena {
    /// Start and length of each free piece below the end; no two touch.
    free: BTreeMap<usize, usize>,
    /// Elements so far.
    pub end: usize,
}

impl Arena {
    /// The start of `size` elements: in the smallest free piece that is large enough, else at the end.
    pub fn take(&mut self, size: usize) -> usize {
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
    pub fn give(&mut self, at: usize, size: usize) {
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
