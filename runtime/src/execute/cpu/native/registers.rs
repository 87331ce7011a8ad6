//! Which value is in which register when: values that are needed last give way, and come back from memory.

use super::super::elementary::{Binary, Compare, Unary};
use super::tape::{Even, Id, Note, Tape};

/// A register.
pub(super) type Register = u8;

/// An operation on registers; results come first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Placed {
    Even(Register, Even),
    Load(Register, usize),
    Store(usize, Register),
    /// Into a place of the memory for values that had to give way.
    Away(usize, Register),
    Back(Register, usize),
    Unary(Unary, Register, Register),
    Binary(Binary, Register, Register, Register),
    MultiplyAdd(Register, [Register; 3]),
    Pick(Compare, Register, [Register; 2], Register, Register),
}

/// The operations on one element.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    pub ops: Vec<Placed>,
    /// What stays in a register for all elements, or those of a row.
    pub kept: Vec<(Register, Even)>,
    /// Places for values that had to give way.
    pub away: usize,
}

/// Gives the values of a tape registers. As much as leaves room for the others of what is the same for many elements is kept in one.
pub(super) fn placed(tape: &Tape, registers: usize) -> Body {
    let mut even: Vec<(usize, Id)> = (0..tape.notes.len())
        .filter(|id| matches!(tape.notes[*id], Note::Even(_)))
        .map(|id| (tape.notes.iter().flat_map(Note::operands).filter(|operand| *operand == id).count(), id))
        .collect();
    even.sort_by_key(|(uses, id)| (usize::MAX - uses, *id));
    let mut kept = even.len().min(registers.saturating_sub(LEAST));
    loop {
        let body = Placing::new(tape, registers, even[..kept].iter().map(|(_, id)| *id)).run();
        if body.away == 0 || kept == 0 {
            return body;
        }
        kept /= 2;
    }
}

/// Registers that one operation may need.
const LEAST: usize = 5;

struct Placing<'a> {
    tape: &'a Tape,
    /// When each value is needed, the last time first.
    needed: Vec<Vec<usize>>,
    at: Vec<Option<Register>>,
    away: Vec<Option<usize>>,
    free: Vec<Register>,
    /// What is in a register that may give way.
    held: Vec<Option<Id>>,
    body: Body,
}

impl<'a> Placing<'a> {
    fn new(tape: &'a Tape, registers: usize, kept: impl Iterator<Item = Id>) -> Placing<'a> {
        let mut needed = vec![Vec::new(); tape.notes.len()];
        for (time, note) in tape.notes.iter().enumerate().rev() {
            note.operands().for_each(|operand| needed[operand].push(time));
        }
        let (at, away) = (vec![None; tape.notes.len()], vec![None; tape.notes.len()]);
        let free = (0..registers as Register).rev().collect();
        let mut placing = Placing { tape, needed, at, away, free, held: vec![None; registers], body: Body::default() };
        for id in kept {
            if let (Note::Even(even), Some(register)) = (tape.notes[id], placing.free.pop()) {
                placing.at[id] = Some(register);
                placing.body.kept.push((register, even));
            }
        }
        placing
    }

    fn run(mut self) -> Body {
        for (time, note) in self.tape.notes.iter().enumerate() {
            let operands: Vec<Id> = note.operands().collect();
            let from: Vec<Register> = operands.iter().map(|id| self.fetched(*id, &operands)).collect();
            self.release(&operands, time);
            match *note {
                Note::Even(_) => continue,
                Note::Store(stream, _) => self.body.ops.push(Placed::Store(stream, from[0])),
                _ => {
                    let to = self.taken(time, &[]);
                    self.body.ops.push(made(note, to, &from));
                }
            }
        }
        self.body
    }

    /// Where a value is, after it was brought back if need be.
    fn fetched(&mut self, id: Id, beside: &[Id]) -> Register {
        if let Some(register) = self.at[id] {
            return register;
        }
        let to = self.taken(id, beside);
        let op = match (self.tape.notes[id], self.away[id]) {
            (Note::Even(even), _) => Placed::Even(to, even),
            (_, place) => Placed::Back(to, place.unwrap_or(0)),
        };
        self.body.ops.push(op);
        to
    }

    /// Values that are not needed any more leave their registers.
    fn release(&mut self, operands: &[Id], time: usize) {
        for &id in operands {
            while self.needed[id].last().is_some_and(|next| *next <= time) {
                self.needed[id].pop();
            }
            if let (true, Some(register)) = (self.needed[id].is_empty(), self.at[id])
                && self.held[register as usize] == Some(id)
            {
                self.held[register as usize] = None;
                self.at[id] = None;
                self.free.push(register);
            }
        }
    }

    /// A register for a value; that which is needed last gives way, but none of those beside it.
    fn taken(&mut self, id: Id, beside: &[Id]) -> Register {
        let register = self.free.pop().unwrap_or_else(|| {
            let candidates = self.held.iter().flatten().filter(|held| !beside.contains(held));
            let last = candidates.max_by_key(|held| self.needed[**held].last().copied().unwrap_or(usize::MAX)).copied();
            last.map_or(0, |last| self.away(last))
        });
        (self.at[id], self.held[register as usize]) = (Some(register), Some(id));
        register
    }

    fn away(&mut self, id: Id) -> Register {
        let register = self.at[id].take().unwrap_or(0);
        if !matches!(self.tape.notes[id], Note::Even(_)) && self.away[id].is_none() {
            self.away[id] = Some(self.body.away);
            self.body.ops.push(Placed::Away(self.body.away, register));
            self.body.away += 1;
        }
        register
    }
}

fn made(note: &Note, to: Register, from: &[Register]) -> Placed {
    match (*note, from) {
        (Note::Load(stream), _) => Placed::Load(to, stream),
        (Note::Unary(op, _), [a]) => Placed::Unary(op, to, *a),
        (Note::Binary(op, ..), [a, b]) => Placed::Binary(op, to, *a, *b),
        (Note::MultiplyAdd(..), [a, b, c]) => Placed::MultiplyAdd(to, [*a, *b, *c]),
        (Note::Pick(compare, ..), [a, b, yes, no]) => Placed::Pick(compare, to, [*a, *b], *yes, *no),
        (Note::Even(even), _) => Placed::Even(to, even),
        (Note::Store(stream, _), _) => Placed::Store(stream, to),
        // Every note comes with its operands.
        (Note::Unary(..) | Note::Binary(..) | Note::MultiplyAdd(..) | Note::Pick(..), _) => Placed::Load(to, 0),
    }
}
