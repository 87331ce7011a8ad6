//! Pickles without Python: a stack machine that knows what state dicts are made of and calls nothing.
//!
//! A pickle is a program for a machine with a stack, a memo and the power to call any function by its name. Here names stay names: the
//! few that rebuild tensors are known by what they mean (`globals`), those that reach the system refuse the file, and what any other one
//! would make is an opaque value. Nothing recurses, and every length is held against the bytes that are there, so depth, memo and sizes
//! of a hostile file have bounds.

mod globals;
pub mod opcodes;
mod value;

pub use value::{Heap, Id, Node, Rebuilt};

use std::collections::HashMap;

/// Most steps of one pickle: ten times those of the largest models with their optimisers.
const MOST_STEPS: usize = 4 << 20;
/// Most values that it may make.
const MOST_VALUES: usize = 1 << 20;

/// Why a pickle gives no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It goes on behind the bytes.
    CutOff,
    /// It is damaged, or does what no state dict needs.
    Refused(String),
}

/// What a pickle made.
#[derive(Debug)]
pub struct Made {
    /// All values.
    pub heap: Heap,
    /// The one that it stands for.
    pub root: Id,
    /// How many bytes it took.
    pub length: usize,
}

/// Runs the pickle at the beginning of some bytes.
///
/// # Errors
/// [`Trouble`], with what was found.
pub fn run(bytes: &[u8]) -> Result<Made, Trouble> {
    let mut machine = Machine { bytes, at: 0, heap: Heap::default(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), steps: 0 };
    loop {
        machine.spend(1)?;
        let code = machine.byte()?;
        if code == b'.' {
            let root = machine.pop()?;
            return Ok(Made { heap: machine.heap, root, length: machine.at });
        }
        machine.step(code)?;
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    heap: Heap,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    steps: usize,
}

impl<'a> Machine<'a> {
    /// Counts work, so that no pickle takes more time or memory than its length explains.
    fn spend(&mut self, steps: usize) -> Result<(), Trouble> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MOST_STEPS { Err(refused("it takes more steps than any state dict")) } else { Ok(()) }
    }

    fn byte(&mut self) -> Result<u8, Trouble> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Trouble> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end)).ok_or(Trouble::CutOff)?;
        self.at += count;
        Ok(taken)
    }

    /// A number of so many bytes, the lowest first.
    fn number(&mut self, count: usize) -> Result<u64, Trouble> {
        Ok(self.take(count)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Bytes behind a length of so many bytes.
    fn counted(&mut self, digits: usize) -> Result<&'a [u8], Trouble> {
        let length = self.number(digits)?;
        self.take(usize::try_from(length).map_err(|_| Trouble::CutOff)?)
    }

    /// A line without its end.
    fn line(&mut self) -> Result<&'a [u8], Trouble> {
        let length = self.bytes[self.at..].iter().position(|byte| *byte == b'\n').ok_or(Trouble::CutOff)?;
        let line = self.take(length)?;
        self.at += 1;
        Ok(line)
    }

    fn add(&mut self, node: Node) -> Result<Id, Trouble> {
        if self.heap.len() >= MOST_VALUES {
            return Err(refused("it makes more values than any state dict"));
        }
        Ok(self.heap.add(node))
    }

    fn push(&mut self, node: Node) -> Result<(), Trouble> {
        let id = self.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, Trouble> {
        if self.marks.last().is_some_and(|mark| *mark >= self.stack.len()) {
            return Err(refused("it takes a value from below a mark"));
        }
        self.stack.pop().ok_or_else(|| refused("it takes a value from an empty stack"))
    }

    fn top(&self) -> Result<Id, Trouble> {
        self.stack.last().copied().ok_or_else(|| refused("it looks at an empty stack"))
    }

    /// What lies above the last mark.
    fn marked(&mut self) -> Result<Vec<Id>, Trouble> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or_else(|| refused("it has no mark where one is due"))?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, key: u32) -> Result<(), Trouble> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), Trouble> {
        let id = self.memo.get(&key).copied().ok_or_else(|| refused("it reads a memo that it never wrote"))?;
        self.stack.push(id);
        Ok(())
    }
}

fn refused(why: impl Into<String>) -> Trouble {
    Trouble::Refused(why.into())
}
