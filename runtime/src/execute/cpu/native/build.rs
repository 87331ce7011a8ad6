//! Which steps of a loop become one function, and what it reads and writes.

use std::collections::HashMap;

use segc_compiler::kernel::Function;

use super::super::elementary::{has, one, select, two};
use super::super::prepare::{LONG, Leave, Source, Step, TileLoop, To, What};
use super::code::{Code, Entry, STREAMS};
use super::emit::{Isa, Plan, emitted};
use super::registers::placed;
use super::tape::{Even, Id, Note, Tape};
use super::{Group, Native, Phase, Stream};

/// Elements from which on a loop writes results past the caches, which they would only fill: more than caches hold.
pub(super) const PAST: usize = 1 << 22;

/// Functions begin with a cache line.
const LINE: usize = 64;

/// The phases of a loop; none where a function cannot be made or there is no memory for it.
pub(super) fn native(body: &TileLoop, isa: Isa) -> Option<Native> {
    let (rows, runs) = cut(body);
    let mut native = Native { phases: rows.into_iter().map(Phase::Step).collect(), stored: vec![false; body.leaves.len()], code: None };
    let mut bytes = Vec::new();
    for run in &runs {
        match run {
            Run::Step(number) => native.phases.push(Phase::Step(*number)),
            Run::Group(steps) => {
                let stores = stores(body, &runs, steps);
                stores.iter().for_each(|effect| native.stored[*effect] = true);
                let group = Building::new(body, isa, steps).group(&stores, &mut bytes)?;
                native.phases.push(Phase::Code(Box::new(group)));
            }
        }
    }
    if !bytes.is_empty() {
        native.code = Some(Code::new(&bytes).ok()?);
    }
    Some(native)
}

/// Steps that follow each other.
enum Run {
    Step(usize),
    Group(Vec<usize>),
}

/// The steps that make an element for each row, which wait for no others, and the rest in runs. There is a group at the end.
fn cut(body: &TileLoop) -> (Vec<usize>, Vec<Run>) {
    let (mut rows, mut runs) = (Vec::new(), Vec::new());
    for (number, step) in body.steps.iter().enumerate() {
        match (step.to, runs.last_mut()) {
            (To::Row(_), _) => rows.push(number),
            (To::Slot(_), Some(Run::Group(group))) if is_native(step, body.columns) => group.push(number),
            (To::Slot(_), _) if is_native(step, body.columns) => runs.push(Run::Group(vec![number])),
            _ => runs.push(Run::Step(number)),
        }
    }
    let copies = body.leaves.iter().any(|leave| matches!(leave, Leave::Store(Source::There(_), _)));
    if copies && !matches!(runs.last(), Some(Run::Group(_))) {
        runs.push(Run::Group(Vec::new()));
    }
    (rows, runs)
}

fn is_native(step: &Step, columns: usize) -> bool {
    match &step.what {
        // Short rows would be mostly masks.
        What::Load(access) => access.columns == 1 && columns >= LONG && access.rows < 1 << 28,
        What::One(function, _) | What::Two(function, ..) => has(*function),
        What::Select(..) => true,
        What::LoadStencil(..) | What::RowStencil(..) => false,
    }
}

/// The effects that a group stores itself: those of its values, and copies if it is the last run. What is written over is read in the
/// group or not at all.
fn stores(body: &TileLoop, runs: &[Run], group: &[usize]) -> Vec<usize> {
    let is_this = |run: &Run| matches!(run, Run::Group(steps) if steps.as_slice() == group);
    let is_last = runs.last().is_some_and(is_this);
    let writer = |slot: usize| body.steps.iter().rposition(|step| step.to == To::Slot(slot));
    let reads = |number: usize, effect: usize| body.steps[number].sources().any(|source| source == Source::Own(effect));
    let stored = |effect: usize| match &body.leaves[effect] {
        Leave::Store(Source::Slot(slot), _) => {
            writer(*slot).is_some_and(|writer| group.contains(&writer))
                && (0..body.steps.len()).all(|number| group.contains(&number) || !reads(number, effect))
        }
        Leave::Store(Source::There(_), _) => is_last,
        Leave::Store(..) | Leave::Reduce { .. } => false,
    };
    (0..body.leaves.len()).filter(|effect| stored(*effect)).collect()
}

/// A group in the making.
struct Building<'a> {
    body: &'a TileLoop,
    isa: Isa,
    steps: &'a [usize],
    streams: Vec<Stream>,
    tape: Tape,
    loaded: HashMap<Stream, Id>,
    /// The values that slots hold.
    slots: HashMap<usize, Id>,
}

impl<'a> Building<'a> {
    fn new(body: &'a TileLoop, isa: Isa, steps: &'a [usize]) -> Building<'a> {
        let (streams, tape) = (Vec::new(), Tape::default());
        let mut building = Building { body, isa, steps, streams, tape, loaded: HashMap::new(), slots: HashMap::new() };
        steps.iter().for_each(|number| building.step(*number));
        building
    }

    fn step(&mut self, number: usize) {
        let Step { to, what } = &self.body.steps[number];
        let id = match *what {
            What::One(Function::Copy, a) => self.value(a),
            What::One(function, a) => {
                let a = self.value(a);
                one(&mut self.tape, function, a)
            }
            What::Two(function, a, b) => {
                let (a, b) = (self.value(a), self.value(b));
                two(&mut self.tape, function, a, b)
            }
            What::Select(on, yes, no) => {
                let [on, yes, no] = [on, yes, no].map(|source| self.value(source));
                select(&mut self.tape, on, yes, no)
            }
            _ => self.load(Stream::Load(number)),
        };
        if let To::Slot(slot) = to {
            self.slots.insert(*slot, id);
        }
    }

    fn value(&mut self, source: Source) -> Id {
        match source {
            Source::Slot(slot) => match self.slots.get(&slot) {
                Some(id) => *id,
                None => {
                    let id = self.load(Stream::Slot(slot));
                    self.slots.insert(slot, id);
                    id
                }
            },
            Source::There(number) => self.load(Stream::There(number)),
            Source::Own(effect) => self.load(Stream::Effect(effect)),
            Source::Row(slot) => {
                let stream = self.stream(Stream::Row(slot));
                self.tape.even(Even::Row(stream))
            }
            Source::Scalar(number) => self.tape.even(Even::Scalar(number)),
        }
    }

    fn load(&mut self, stream: Stream) -> Id {
        if let Some(id) = self.loaded.get(&stream) {
            return *id;
        }
        let number = self.stream(stream);
        let id = self.tape.note(Note::Load(number));
        self.loaded.insert(stream, id);
        id
    }

    fn stream(&mut self, stream: Stream) -> usize {
        self.streams.iter().position(|known| *known == stream).unwrap_or_else(|| {
            self.streams.push(stream);
            self.streams.len() - 1
        })
    }

    fn group(mut self, stores: &[usize], bytes: &mut Vec<u8>) -> Option<Group> {
        for &effect in stores {
            if let Leave::Store(source, _) = &self.body.leaves[effect] {
                let value = self.value(*source);
                self.store(Stream::Effect(effect), value);
            }
        }
        let mut made: Vec<(usize, Id)> = self.slots.iter().map(|(slot, id)| (*slot, *id)).collect();
        made.retain(|(slot, _)| self.is_written(*slot) && self.is_read_later(*slot, stores));
        made.sort_unstable();
        made.into_iter().for_each(|(slot, id)| self.store(Stream::Slot(slot), id));
        self.finished(bytes)
    }

    fn store(&mut self, stream: Stream, value: Id) {
        let number = self.stream(stream);
        self.tape.note(Note::Store(number, value));
    }

    fn is_written(&self, slot: usize) -> bool {
        self.steps.iter().any(|number| self.body.steps[*number].to == To::Slot(slot))
    }

    /// Whether later steps or what the tile leaves behind need the slot as the group leaves it.
    fn is_read_later(&self, slot: usize, stores: &[usize]) -> bool {
        let later = self.steps.last().map_or(&[][..], |last| &self.body.steps[last + 1..]);
        for step in later {
            if step.sources().any(|source| source == Source::Slot(slot)) {
                return true;
            }
            if step.to == To::Slot(slot) {
                return false;
            }
        }
        self.body.leaves.iter().enumerate().any(|(effect, leave)| match leave {
            Leave::Store(source, _) => *source == Source::Slot(slot) && !stores.contains(&effect),
            Leave::Reduce { value, .. } => *value == Source::Slot(slot),
        })
    }

    fn finished(self, bytes: &mut Vec<u8>) -> Option<Group> {
        let mut streams = self.streams.clone();
        streams.sort_unstable();
        if streams.len() > STREAMS {
            return None;
        }
        let at: Vec<usize> = self.streams.iter().map(|stream| streams.binary_search(stream).unwrap_or(0)).collect();
        let tape = self.tape.finished(&at);
        let steps: Vec<(usize, bool)> = streams.iter().map(|stream| step(self.body, *stream)).collect();
        let gap = |stream: &Stream| matches!(stream, Stream::Load(_) | Stream::Row(_)) && self.body.height > 1;
        let flat = !streams.iter().any(|stream| gap(stream) || matches!(stream, Stream::Row(_)));
        let part = placed(&tape, self.isa.registers());
        let mut entry = |past: Vec<usize>| {
            let of_rows: Vec<i32> = steps.iter().map(|(step, _)| 4 * *step as i32).collect();
            let code = emitted(Plan { isa: self.isa, body: &part, steps: &of_rows, past: &past }).ok()?;
            bytes.resize(bytes.len().next_multiple_of(LINE), 0);
            let at = bytes.len();
            bytes.extend(code);
            let (scalars, numbers) = (self.body.scalars.len(), tape.numbers.clone());
            Some(Entry { at, isa: self.isa, numbers, scalars, away: part.away, streams: steps.clone(), past })
        };
        let elements = self.body.outer * self.body.rows * self.body.columns;
        let only_written = |stream: &usize| matches!(streams[*stream], Stream::Effect(_)) && !tape.notes.contains(&Note::Load(*stream));
        // One only: several at once take longer than through the caches.
        let past: Vec<usize> = (0..streams.len()).find(only_written).into_iter().collect();
        let one_row = flat || self.body.height == 1;
        let group_past = if one_row && elements >= PAST && !past.is_empty() { Some(entry(past)?) } else { None };
        let entry = entry(Vec::new())?;
        Some(Group { streams, flat, entry, past: group_past })
    }
}

/// Elements from row to row of a stream, and whether it has one element for each row only.
fn step(body: &TileLoop, stream: Stream) -> (usize, bool) {
    match stream {
        Stream::Row(_) => (1, true),
        Stream::Load(number) => match &body.steps[number].what {
            What::Load(access) => (access.rows, false),
            _ => (0, false),
        },
        Stream::There(_) | Stream::Slot(_) | Stream::Effect(_) => (body.columns, false),
    }
}
