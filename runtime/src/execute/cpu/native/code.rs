//! Machine code in memory, and the only place that calls it: every address that a function gets is that of a slice whose length was
//! compared with what the function touches.

use std::marker::PhantomData;

use memmap2::{Mmap, MmapMut};

use super::emit::{Isa, WORDS, Word};

/// Functions of one loop in executable memory.
#[derive(Debug)]
pub(super) struct Code {
    map: Mmap,
}

/// A function: where its code begins, and what it touches.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub at: usize,
    pub isa: Isa,
    pub numbers: Vec<f32>,
    pub scalars: usize,
    /// Registers' worth of memory for values that have to give way.
    pub away: usize,
    /// Elements from row to row of each stream, and whether it has one element for each row only.
    pub streams: Vec<(usize, bool)>,
    /// Streams that are written past the caches.
    pub past: Vec<usize>,
}

/// Streams of a function at most.
pub(super) const STREAMS: usize = 64;

/// What a function runs on: so many rows and columns, scalars, and a slice for each stream in order.
pub(super) struct Frame<'a> {
    entry: &'a Entry,
    words: [u64; WORDS + STREAMS],
    /// Streams so far.
    count: usize,
    rows: usize,
    columns: usize,
    of: PhantomData<&'a mut f32>,
}

/// Lanes of the rest of a row, for each number of them from its end.
static MASKS: [u32; 16] = [u32::MAX, u32::MAX, u32::MAX, u32::MAX, u32::MAX, u32::MAX, u32::MAX, u32::MAX, 0, 0, 0, 0, 0, 0, 0, 0];

impl Code {
    /// Memory with these functions that may be executed. Errors: the system gives none.
    pub fn new(bytes: &[u8]) -> std::io::Result<Code> {
        let mut map = MmapMut::map_anon(bytes.len().max(1))?;
        map[..bytes.len()].copy_from_slice(bytes);
        Ok(Code { map: map.make_exec()? })
    }

    /// Runs the function that the frame was made for, which must be one of these; where all that is written past the caches lies alike,
    /// another one that does so from the first whole vector on.
    pub fn run(&self, frame: &mut Frame, past: Option<&Entry>) {
        let entry = frame.entry;
        assert!(frame.count == entry.streams.len(), "streams are missing");
        match past.and_then(|past| Some((past, frame.before_whole(past)?))) {
            Some((past, before)) if before < frame.columns => {
                let columns = frame.columns;
                if before > 0 {
                    self.call(entry.at, frame, before);
                    let each = frame.words[WORDS..].iter_mut().zip(&entry.streams).filter(|(_, (_, by_row))| !by_row);
                    each.for_each(|(address, _)| *address += 4 * before as u64);
                }
                self.call(past.at, frame, columns - before);
            }
            _ => self.call(entry.at, frame, frame.columns),
        }
    }

    fn call(&self, at: usize, frame: &mut Frame, columns: usize) {
        assert!(at < self.map.len() && columns <= frame.columns, "a frame of another function");
        frame.set_space(columns);
        #[cfg(target_arch = "x86_64")]
        {
            // SAFETY: the map holds what `emit` made for this entry, a function with this convention that keeps what the convention asks
            // to be kept; the processor has its instructions, since an `Isa` is only made of an architecture that was detected. It touches
            // its words and the slices of the frame, within the bounds that were checked when they were added.
            let function: extern "sysv64" fn(*mut u64) = unsafe { std::mem::transmute(self.map.as_ptr().add(at)) };
            function(frame.words.as_mut_ptr());
        }
    }
}

impl<'a> Frame<'a> {
    /// Without streams. `away` is for values that have to give way.
    pub fn new(entry: &'a Entry, [rows, columns]: [usize; 2], scalars: &'a [f32], away: &'a mut [f32]) -> Frame<'a> {
        assert!(rows > 0 && scalars.len() >= entry.scalars && away.len() >= entry.away * entry.isa.lanes(), "a frame is too small");
        let mut words = [0; WORDS + STREAMS];
        words[Word::Scalars as usize] = scalars.as_ptr() as u64;
        words[Word::Numbers as usize] = entry.numbers.as_ptr() as u64;
        words[Word::Away as usize] = away.as_mut_ptr() as u64;
        Frame { entry, words, count: 0, rows, columns, of: PhantomData }
    }

    /// Columns before the first whole vector of what a function writes past the caches; none where it does not lie alike.
    fn before_whole(&self, past: &Entry) -> Option<usize> {
        let vector = 4 * self.entry.isa.lanes() as u64;
        let mut before = past.past.iter().map(|stream| self.words[WORDS + stream].wrapping_neg() % vector);
        let first = before.next()?;
        (self.rows == 1 && first % 4 == 0 && before.all(|other| other == first)).then_some(first as usize / 4)
    }

    /// Before each call, since functions count rows down.
    fn set_space(&mut self, columns: usize) {
        self.words[Word::Rows as usize] = self.rows as u64;
        let lanes = self.entry.isa.lanes();
        let rest = columns % lanes;
        self.words[Word::Full as usize] = 4 * (columns - rest) as u64;
        self.words[Word::Rest as usize] = rest as u64;
        self.words[Word::Mask as usize] = match self.entry.isa {
            Isa::Avx512 => (1 << rest) - 1,
            Isa::Avx2 => MASKS[8 - rest..].as_ptr() as u64,
        };
    }

    /// The next stream, which is only read.
    pub fn read(&mut self, from: &'a [f32]) {
        self.add(from.as_ptr() as u64, from.len());
    }

    /// The next stream, which is written, and perhaps read before.
    pub fn write(&mut self, to: &'a mut [f32]) {
        self.add(to.as_mut_ptr() as u64, to.len());
    }

    fn add(&mut self, address: u64, length: usize) {
        let (step, by_row) = self.entry.streams[self.count];
        let columns = if by_row { 1 } else { self.columns };
        assert!((self.rows - 1) * step + columns <= length, "a stream is too short");
        self.words[WORDS + self.count] = address;
        self.count += 1;
    }
}
