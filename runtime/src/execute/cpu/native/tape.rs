//! What a part of a loop does to one element, as a list of operations: [`Math`] that takes notes.

use std::collections::HashMap;

use super::super::elementary::{Binary, Compare, Math, Unary};

/// A value of a tape, by the number of its note.
pub(super) type Id = usize;

/// One operation; its number is its value's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Note {
    /// What is the same for all elements, or those of a row.
    Even(Even),
    /// The element of a stream.
    Load(usize),
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    /// The product of the first two and the third.
    MultiplyAdd(Id, Id, Id),
    /// The first two compared; the third where that holds, else the fourth.
    Pick(Compare, [Id; 2], Id, Id),
    /// Into a stream.
    Store(usize, Id),
}

/// What is read once for many elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Even {
    /// One of the tape's numbers.
    Number(usize),
    /// One of the loop's scalars.
    Scalar(usize),
    /// The element of the row in a stream of one element for each.
    Row(usize),
}

/// The notes, and the numbers they name.
#[derive(Clone, Debug, Default)]
pub(super) struct Tape {
    pub notes: Vec<Note>,
    pub numbers: Vec<f32>,
    even: HashMap<Even, Id>,
    known: HashMap<u32, usize>,
}

impl Tape {
    pub fn note(&mut self, note: Note) -> Id {
        self.notes.push(note);
        self.notes.len() - 1
    }

    /// Noted once.
    pub fn even(&mut self, even: Even) -> Id {
        let next = self.notes.len();
        let id = *self.even.entry(even).or_insert(next);
        if id == next {
            self.notes.push(Note::Even(even));
        }
        id
    }

    fn number_of(&self, id: Id) -> Option<f32> {
        match self.notes[id] {
            Note::Even(Even::Number(number)) => Some(self.numbers[number]),
            _ => None,
        }
    }

    /// The comparison that a value is the truth of.
    fn truth(&self, id: Id) -> Option<(Compare, [Id; 2])> {
        match self.notes[id] {
            Note::Pick(compare, values, yes, no) if self.number_of(yes) == Some(1.0) && self.number_of(no) == Some(0.0) => {
                Some((compare, values))
            }
            _ => None,
        }
    }

    /// Without what no store needs, with stores that nothing waits for where their value is made, and with other numbers of streams.
    pub fn finished(self, streams: &[usize]) -> Tape {
        let mut needed = vec![false; self.notes.len()];
        for (id, note) in self.notes.iter().enumerate().rev() {
            needed[id] |= matches!(note, Note::Store(..));
            if needed[id] {
                note.operands().for_each(|operand| needed[operand] = true);
            }
        }
        let loaded = |stream: usize| self.notes.contains(&Note::Load(stream));
        let early = |note: &Note| matches!(note, Note::Store(stream, _) if !loaded(*stream));
        let mut order: Vec<(Id, Id)> = (0..self.notes.len()).filter(|id| needed[*id]).map(|id| (self.place(id, early), id)).collect();
        order.sort_unstable();
        let mut at = vec![0; self.notes.len()];
        order.iter().enumerate().for_each(|(new, (_, old))| at[*old] = new);
        let notes = order.iter().map(|(_, old)| self.notes[*old].with(|id| at[id], |stream| streams[stream])).collect();
        Tape { notes, numbers: self.numbers, ..Tape::default() }
    }

    /// After which note a note comes.
    fn place(&self, id: Id, early: impl Fn(&Note) -> bool) -> Id {
        match self.notes[id] {
            Note::Store(_, value) if early(&self.notes[id]) => value,
            _ => id,
        }
    }
}

impl Note {
    /// The values that it reads.
    pub fn operands(&self) -> impl Iterator<Item = Id> {
        let list: [Option<Id>; 4] = match *self {
            Note::Even(_) | Note::Load(_) => [None; 4],
            Note::Unary(_, a) | Note::Store(_, a) => [Some(a), None, None, None],
            Note::Binary(_, a, b) => [Some(a), Some(b), None, None],
            Note::MultiplyAdd(a, b, c) => [Some(a), Some(b), Some(c), None],
            Note::Pick(_, [a, b], yes, no) => [Some(a), Some(b), Some(yes), Some(no)],
        };
        list.into_iter().flatten()
    }

    /// With other values and streams.
    fn with(self, of: impl Fn(Id) -> Id, on: impl Fn(usize) -> usize) -> Note {
        match self {
            Note::Even(Even::Row(stream)) => Note::Even(Even::Row(on(stream))),
            Note::Even(_) => self,
            Note::Load(stream) => Note::Load(on(stream)),
            Note::Unary(op, a) => Note::Unary(op, of(a)),
            Note::Store(stream, a) => Note::Store(on(stream), of(a)),
            Note::Binary(op, a, b) => Note::Binary(op, of(a), of(b)),
            Note::MultiplyAdd(a, b, c) => Note::MultiplyAdd(of(a), of(b), of(c)),
            Note::Pick(compare, [a, b], yes, no) => Note::Pick(compare, [of(a), of(b)], of(yes), of(no)),
        }
    }
}

impl Math for Tape {
    type Value = Id;

    fn number(&mut self, x: f32) -> Id {
        let next = self.numbers.len();
        let number = *self.known.entry(x.to_bits()).or_insert(next);
        if number == next {
            self.numbers.push(x);
        }
        self.even(Even::Number(number))
    }

    fn unary(&mut self, op: Unary, a: Id) -> Id {
        self.note(Note::Unary(op, a))
    }

    fn binary(&mut self, op: Binary, a: Id, b: Id) -> Id {
        self.note(Note::Binary(op, a, b))
    }

    fn multiply_add(&mut self, a: Id, b: Id, c: Id) -> Id {
        self.note(Note::MultiplyAdd(a, b, c))
    }

    fn pick(&mut self, (compare, a, b): (Compare, Id, Id), yes: Id, no: Id) -> Id {
        // Whether a truth is not zero is what it is the truth of.
        if let (Compare::NotEqual, Some(0.0), Some((compare, values))) = (compare, self.number_of(b), self.truth(a)) {
            return self.note(Note::Pick(compare, values, yes, no));
        }
        self.note(Note::Pick(compare, [a, b], yes, no))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_stores_goes_and_stores_wait_for_loads_only() {
        let mut tape = Tape::default();
        let (x, old) = (tape.note(Note::Load(0)), tape.note(Note::Load(1)));
        let twice = tape.binary(Binary::Add, x, x);
        let sum = tape.binary(Binary::Add, twice, old);
        tape.binary(Binary::Multiply, sum, sum);
        tape.note(Note::Store(2, twice));
        tape.note(Note::Store(1, sum));
        let notes = tape.finished(&[0, 1, 2]).notes;
        let add = |a, b| Note::Binary(Binary::Add, a, b);
        assert_eq!(notes, [Note::Load(0), Note::Load(1), add(0, 0), Note::Store(2, 2), add(2, 1), Note::Store(1, 4)]);
    }

    #[test]
    fn a_choice_by_a_truth_compares_itself() {
        let mut tape = Tape::default();
        let (a, b) = (tape.note(Note::Load(0)), tape.note(Note::Load(1)));
        let (one, zero) = (tape.number(1.0), tape.number(0.0));
        let less = tape.pick((Compare::Less, a, b), one, zero);
        let smaller = tape.pick((Compare::NotEqual, less, zero), a, b);
        assert_eq!(tape.notes[smaller], Note::Pick(Compare::Less, [a, b], a, b));
    }
}
