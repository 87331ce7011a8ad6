//! One sample: its solves member by member, then the terms that were asked for.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use segc_compiler::Leaf;
use segc_lang::spec::TermId;

use super::models::Models;
use super::programs::{Member, Programs};
use super::watch;
use crate::data::Sample;
use crate::execute::{Executable, Scratch};
use crate::outcome::RunError;

/// How many earlier states are remembered to notice that a solve goes in a circle.
const MEMORY: usize = 4;

/// A thread with its memory.
pub(crate) struct Worker<'a> {
    programs: &'a Programs,
    around: Around<'a>,
    members: Vec<[Scratch; 3]>,
    last: Scratch,
}

/// What all samples share.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub models: &'a Models<'a>,
    pub averages: &'a HashMap<TermId, Vec<f32>>,
    /// See [`super::Options::check_nan`].
    pub check_nan: Option<NonZeroUsize>,
}

/// What was computed for one sample.
pub(crate) struct Computed {
    /// The terms in their order.
    pub values: Vec<Vec<f32>>,
    /// The watched scalars of solves before each step.
    pub curves: Vec<(String, Vec<f32>)>,
    /// What happened.
    pub notes: Vec<String>,
}

/// What a solve's member came to.
struct Solved {
    states: Vec<Vec<f32>>,
    /// The states before the last step, for a last step that went wrong.
    before: Option<Vec<Vec<f32>>>,
    /// For each watched scalar its value before every step.
    curves: Vec<Vec<f32>>,
    note: Option<String>,
}

/// What programs read: fields of the samples, results of solves, and what all samples share.
struct Values<'a> {
    samples: &'a [(usize, Sample)],
    /// The number of the sample, as draws are keyed by it.
    number: [f32; 2],
    index: usize,
    solved: HashMap<TermId, Vec<f32>>,
    around: Around<'a>,
}

impl<'a> Worker<'a> {
    pub fn new(programs: &'a Programs, around: Around<'a>) -> Worker<'a> {
        let scratches = |member: &Member| [member.first.scratch(), member.step.scratch(), member.readout.scratch()];
        Worker { programs, around, members: programs.members.iter().map(scratches).collect(), last: programs.last.scratch() }
    }

    /// Computes sample `index`; `samples` are those of the data items that the programs read.
    pub fn run(&mut self, index: usize, samples: &[(usize, Sample)]) -> Result<Computed, RunError> {
        let programs = self.programs;
        let number = [(index & 0xffff) as f32, (index >> 16) as f32];
        let mut values = Values { samples, number, index, solved: HashMap::new(), around: self.around };
        let (mut notes, mut curves) = (Vec::new(), Vec::new());
        for (member, scratch) in programs.members.iter().zip(&mut self.members) {
            let mut solved = values.solve(member, scratch)?;
            if values.read(member, &solved.states, &mut scratch[2])? {
                // The step after the last watched one may be the one that went wrong.
                if let Some(before) = solved.before.take() {
                    values.read(member, &before, &mut scratch[2])?;
                    solved.note.get_or_insert_with(|| went_wrong(member, member.rounds));
                }
            }
            notes.extend(solved.note);
            curves.extend(member.watched.iter().map(|name| format!("{}.{name}", member.name)).zip(solved.curves));
        }
        values.bind_and_run(programs.last.as_ref(), &[], &mut self.last, None)?;
        Ok(Computed { values: self.last.outputs.clone(), curves, notes })
    }
}

fn unknown(leaf: &Leaf) -> RunError {
    match leaf {
        Leaf::Field(_, name) => RunError::Data(format!("a sample has no `{name}`; for ground truth give `labels`, a folder of masks")),
        other => RunError::Usage(format!("{other:?} is not known where it is read")),
    }
}

fn went_wrong(member: &Member, round: usize) -> String {
    let states = member.states.join(", ");
    format!("{}: `{states}` emptied, filled or left the numbers at step {round}; the last valid one is kept", member.name)
}

fn finite(values: &[Vec<f32>]) -> bool {
    values.iter().flatten().all(|x| x.is_finite())
}

impl Values<'_> {
    /// Runs a program; `states` are those of the member that it belongs to.
    /// `round` is the member and the step, where it is one.
    fn bind_and_run(
        &self,
        program: &dyn Executable,
        states: &[Vec<f32>],
        scratch: &mut Scratch,
        round: Option<(&Member, usize)>,
    ) -> Result<(), RunError> {
        let mut inputs: Vec<&[f32]> = Vec::with_capacity(program.program().inputs.len());
        for (leaf, _) in &program.program().inputs {
            let value = match leaf {
                Leaf::State(number) => states.get(*number).map(Vec::as_slice),
                other => self.value(other),
            };
            inputs.push(value.ok_or_else(|| unknown(leaf))?);
        }
        let number = round.map_or(self.index, |(member, step)| self.index * member.rounds + step);
        let look = self.around.check_nan.is_some_and(|every| number.is_multiple_of(every.get()));
        watch::run(program, &inputs, scratch, look, || {
            let step = round.map_or_else(String::new, |(member, step)| format!(", step {step} of {}", member.name));
            match self.samples.first() {
                Some((_, sample)) => format!("image {}{step}", sample.stem),
                None => format!("sample {}{step}", self.index),
            }
        })
    }

    fn value(&self, leaf: &Leaf) -> Option<&[f32]> {
        match leaf {
            Leaf::Solved(id) => self.solved.get(id).map(Vec::as_slice),
            Leaf::Average(id) => self.around.averages.get(id).map(Vec::as_slice),
            Leaf::Field(data, name) => {
                let (_, sample) = self.samples.iter().find(|(number, _)| number == data)?;
                sample.fields.get(name).map(Vec::as_slice)
            }
            Leaf::Samples => Some(&self.number),
            shared => self.around.models.value(shared),
        }
    }

    /// Steps until the rounds are over, a state is invalid, or the states repeat: a step is a pure function of sample and states, so
    /// a circle decides all rounds that are left.
    fn solve(&self, member: &Member, scratch: &mut [Scratch; 3]) -> Result<Solved, RunError> {
        let [first, step, _] = scratch;
        self.bind_and_run(member.first.as_ref(), &[], first, None)?;
        let count = member.states.len();
        let mut history: Vec<Vec<Vec<f32>>> = vec![first.outputs.clone()];
        let mut curves: Vec<Vec<f32>> = vec![Vec::with_capacity(member.rounds); member.watched.len()];
        for round in 0..member.rounds {
            let newest = history.len() - 1;
            self.bind_and_run(member.step.as_ref(), &history[newest], step, Some((member, round)))?;
            let (next, watched) = step.outputs.split_at(count);
            if !finite(watched) {
                return Ok(invalid(member, round, history, curves));
            }
            curves.iter_mut().zip(watched).for_each(|(curve, value)| curve.push(value[0]));
            if !finite(next) {
                let states = history.remove(newest);
                return Ok(stopped(states, None, member, curves, Some(went_wrong(member, round + 1))));
            }
            if let Some(back) = history.iter().rev().position(|known| known == next) {
                return Ok(circled(member, round, back + 1, history, curves));
            }
            history.push(next.to_vec());
            if history.len() > MEMORY {
                history.remove(0);
            }
        }
        let states = history.pop().unwrap_or_default();
        Ok(Solved { states, before: history.pop(), curves, note: None })
    }

    /// Reads a solved member's results; says whether one of them is not finite.
    fn read(&mut self, member: &Member, states: &[Vec<f32>], scratch: &mut Scratch) -> Result<bool, RunError> {
        self.bind_and_run(member.readout.as_ref(), states, scratch, None)?;
        self.solved.extend(member.results.iter().copied().zip(scratch.outputs.iter().cloned()));
        Ok(!finite(&scratch.outputs))
    }
}

/// The newest state is invalid: the one before it is kept.
fn invalid(member: &Member, round: usize, mut history: Vec<Vec<Vec<f32>>>, curves: Vec<Vec<f32>>) -> Solved {
    let newest = history.pop();
    let states = history.pop().or(newest).unwrap_or_default();
    stopped(states, None, member, curves, Some(went_wrong(member, round)))
}

/// The step of `round` gave the states of `period - 1` steps before it.
fn circled(member: &Member, round: usize, period: usize, history: Vec<Vec<Vec<f32>>>, mut curves: Vec<Vec<f32>>) -> Solved {
    for curve in &mut curves {
        while curve.len() < member.rounds {
            curve.push(curve[curve.len() - period]);
        }
    }
    let circle = &history[history.len() - period..];
    let left = member.rounds - (round + 1);
    let before = (left > 0 || period > 1).then(|| circle[(left + period - 1) % period].clone());
    Solved { states: circle[left % period].clone(), before, curves, note: None }
}

/// Curves go on with their last value.
fn stopped(
    states: Vec<Vec<f32>>,
    before: Option<Vec<Vec<f32>>>,
    member: &Member,
    mut curves: Vec<Vec<f32>>,
    note: Option<String>,
) -> Solved {
    for curve in &mut curves {
        let last = curve.last().copied().unwrap_or(0.0);
        curve.resize(member.rounds, last);
    }
    Solved { states, before, curves, note }
}
