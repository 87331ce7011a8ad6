//! Steps of a training on a device: twice to the same bytes, near to what another executor makes, and on from the file of another device.

use std::collections::BTreeMap;
use std::path::Path;

use segc_lang::spec::Spec;

use super::Found;
use crate::checkpoint::{self, Checkpoints, Chosen};
use crate::outcome::RunError;
use crate::record::Identity;
use crate::session::{On, Options};
use crate::train::state::State;
use crate::train::timing::Silent;
use crate::train::{self, Schedule, Specs};

/// How far weights, states and averages may be off after a step, as norms relative to the norm of what was expected.
pub const TOLERANCE: f64 = 1e-5;

/// What is trained.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The spec of the end.
    pub end: &'a Spec,
    /// The specs of its phases.
    pub specs: &'a dyn Specs,
}

impl Subject<'_> {
    /// Trains from a state on until so many steps of the run are done.
    ///
    /// # Errors
    /// As for [`train::run`].
    pub fn trained(&self, options: &Options, mut state: State, until: u64) -> Result<State, RunError> {
        let schedule = Schedule { stop_after: Some(until), save_every: None };
        train::run(self.end, self.specs, options, &schedule, &mut state, &mut Silent)?;
        Ok(state)
    }
}

/// Trains some steps on a device in all the ways that must not matter. Files are written to `folder`. `steps`: at least two.
///
/// # Errors
/// As for [`train::run`].
pub fn check(subject: &Subject, options: &Options, steps: u64, folder: &Path) -> Result<Found, RunError> {
    let mut found = Found::default();
    let own = subject.trained(options, State::default(), steps)?;
    found.say(finite(&own));
    found.say(same("a second run", &subject.trained(options, State::default(), steps)?, &own));
    let on_cpu = matches!(options.on, On::Cpu | On::Portable);
    if on_cpu {
        let other = Options { threads: if options.threads == 1 { 2 } else { 1 }, ..options.clone() };
        found.say(same("another number of threads", &subject.trained(&other, State::default(), steps)?, &own));
    }
    if options.graphs && !on_cpu {
        let other = Options { graphs: false, ..options.clone() };
        found.say(same("every kernel launched by itself", &subject.trained(&other, State::default(), steps)?, &own));
    }
    let other = Options { on: if on_cpu { On::Reference } else { On::Cpu }, ..options.clone() };
    near(subject, options, &other, &mut found)?;
    let file = File { subject, folder };
    found.say(file.carries(options, own, &other)?);
    found.say(file.carries(&other, subject.trained(&other, State::default(), 1)?, options)?);
    Ok(found)
}

/// One step on two devices.
fn near(subject: &Subject, options: &Options, other: &Options, found: &mut Found) -> Result<(), RunError> {
    let own = subject.trained(options, State::default(), 1)?;
    let expected = subject.trained(other, State::default(), 1)?;
    let name = other.on.device().name();
    for (kind, error) in off(&own, &expected) {
        found.cases += 1;
        let what = || format!("after one step the norm of all tensors `{kind}` is {error:.2e} off from {name}, {TOLERANCE:.2e} allowed");
        found.note(&format!("`{kind}` after a step"), error, TOLERANCE, what);
    }
    Ok(())
}

/// For each kind of tensors the norm of the difference, relative to that of what was expected; infinite where tensors are missing.
fn off(found: &State, expected: &State) -> BTreeMap<String, f64> {
    let own: BTreeMap<&str, &[f32]> = found.tensors().map(|(name, tensor)| (name, tensor.values.as_slice())).collect();
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (name, tensor) in expected.tensors() {
        let kind = name.split('/').next().unwrap_or_default();
        let (difference, norm) = sums.entry(kind.to_owned()).or_default();
        match own.get(name).filter(|values| values.len() == tensor.values.len()) {
            None => *difference = f64::INFINITY,
            Some(values) => {
                for (a, b) in values.iter().zip(&tensor.values) {
                    *difference += f64::from(a - b).powi(2);
                    *norm += f64::from(*b).powi(2);
                }
            }
        }
    }
    let relative = |(difference, norm): (f64, f64)| if difference == 0.0 { 0.0 } else { (difference / norm).sqrt() };
    let number = |error: f64| if error.is_nan() { f64::INFINITY } else { error };
    sums.into_iter().map(|(kind, sum)| (kind, number(relative(sum)))).collect()
}

/// That two states are the same bytes.
fn same(what: &str, a: &State, b: &State) -> Result<(), String> {
    let all = |state: &State| state.tensors().map(|(name, tensor)| (name.to_owned(), tensor.values.clone())).collect::<BTreeMap<_, _>>();
    let (own, expected) = (all(a), all(b));
    for (name, values) in &expected {
        let found = own.get(name).ok_or_else(|| format!("{what}: the tensor {name} is missing"))?;
        let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
        if let Some(element) = found.iter().zip(values).position(differs) {
            let (found, expected) = (found[element], values[element]);
            return Err(format!("{what} does not make the same bytes: element {element} of {name} is {found} instead of {expected}"));
        }
    }
    if a == b { Ok(()) } else { Err(format!("{what} comes to another state, though its tensors are the same")) }
}

fn finite(state: &State) -> Result<(), String> {
    match state.tensors().find(|(_, tensor)| tensor.values.iter().any(|x| !x.is_finite())) {
        None => Ok(()),
        Some((name, _)) => Err(format!("the tensor {name} is not finite after training")),
    }
}

/// Where a state is written to and read from.
struct File<'a> {
    subject: &'a Subject<'a>,
    folder: &'a Path,
}

impl File<'_> {
    /// That a device comes from the file of a state to where it comes from the state itself.
    fn carries(&self, by: &Options, state: State, on: &Options) -> Result<Result<(), String>, RunError> {
        let (from, to) = (by.on.device().name(), on.on.device().name());
        let identity = Identity {
            name: self.subject.end.name.clone(),
            sources: Vec::new(),
            params: self.subject.end.params.clone(),
            seed: by.seed,
            weights: Vec::new(),
            device: from.into(),
        };
        let folder = self.folder.join(from);
        Checkpoints::of(&folder, identity.clone(), 1).save(&state, true)?;
        let Some(read) = checkpoint::of_run(&folder, &identity.hash(), &Chosen::Newest)? else {
            return Ok(Err(format!("the checkpoint that {from} wrote is not found")));
        };
        let until = state.place.total + 1;
        let expected = self.subject.trained(on, state, until)?;
        Ok(same(&format!("a checkpoint of {from} that {to} continues"), &self.subject.trained(on, read.state, until)?, &expected))
    }
}
