//! The models of a run as its output reads them: from a checkpoint, or as the run would start them.

use std::collections::BTreeSet;

use segc_compiler::Leaf;
use segc_lang::spec::{Phase, Pictures, Spec, Type};

use super::Request;
use crate::checkpoint::{self, Kept};
use crate::execute::Compiler;
use crate::outcome::RunError;
use crate::record::Past;
use crate::session::Programs;
use crate::train;
use crate::train::state::{Kind, State, belongs};
use crate::weights::{self, Wanted};

/// The state that photographs are segmented with.
pub(super) struct Ready {
    pub state: State,
    /// What is to be known of it.
    pub remarks: Vec<String>,
}

/// A weight or state that the output reads.
struct Needed<'a> {
    kind: Kind,
    path: &'a str,
    ty: &'a Type,
}

/// The state of the request's run. Weights and states that no phase touches have the values that the run itself gives them at its end.
///
/// # Errors
/// [`RunError::Checkpoint`] if there is no state that can be used; [`RunError::Data`] and [`RunError::Weights`] if a file of weights
/// has changed or is gone.
pub(super) fn ready(request: &Request, programs: &Programs, compiler: &mut Compiler) -> Result<Ready, RunError> {
    let (spec, past) = (request.spec, request.past);
    let leaves = programs.leaves();
    let elapsed = leaves.iter().any(|leaf| matches!(leaf, Leaf::Elapsed(_)));
    let needed: Vec<Needed> = leaves.iter().filter_map(|leaf| needed(spec, leaf)).collect();
    let mut ready = Ready { state: State::default(), remarks: Vec::new() };
    if past.about.segc != crate::VERSION {
        ready.remarks.push(format!("the run was made by segc {}, this is {}: masks may differ a little", past.about.segc, crate::VERSION));
    }
    let trains = spec.phases.iter().any(lasts);
    if trains && (elapsed || !needed.is_empty()) {
        ready.load(request)?;
        ready.refuse_untrained(spec, &needed)?;
    } else if request.checkpoint != checkpoint::Chosen::Newest {
        let why = "the output of this run reads nothing that is trained, so there is no checkpoint to choose";
        return Err(RunError::Usage(why.into()));
    }
    let rest = rest(spec, &ready.state, &needed);
    same_files(&rest, past)?;
    train::complete(&mut ready.state, &rest, past.about.seed, compiler)?;
    Ok(ready)
}

impl Ready {
    fn load(&mut self, request: &Request) -> Result<(), RunError> {
        let past = request.past;
        let Some(Kept { state, file, damaged }) = checkpoint::of_run(&past.folder, &past.about.identity, &request.checkpoint)? else {
            let folder = past.folder.display();
            return Err(RunError::Checkpoint(format!(
                "{folder} holds no checkpoint: the run was stopped before it saved one. The command that began it continues it"
            )));
        };
        self.state = state;
        for (path, why) in damaged {
            self.remarks.push(format!("{} is damaged ({why}); {} is used", path.display(), file.display()));
        }
        if let Some(phase) = open_phase(request.spec, &self.state) {
            let place = &self.state.place;
            let step = format!("it is of step {} of the run, step {} of phase {}", place.total, place.step, phase.name);
            let best = self.state.best.map_or(String::new(), |best| format!("; its best models so far, of step {}, are used", best.step));
            self.remarks.push(format!("{} was not trained to its end: {step}{best}", file.display()));
        }
        // A phase that keeps the best hands them on when it is over.
        self.state.restore_best();
        Ok(())
    }

    /// Models that later phases train must not be taken as they start.
    fn refuse_untrained(&self, spec: &Spec, needed: &[Needed]) -> Result<(), RunError> {
        let Some(phase) = open_phase(spec, &self.state) else { return Ok(()) };
        let later = &spec.phases[self.state.place.phase..];
        let to_come = |path: &str| later.iter().any(|phase| lasts(phase) && belongs(path, &phase.trained));
        let untrained = needed.iter().find(|one| to_come(one.path) && !one.is_in(&self.state));
        untrained.map_or(Ok(()), |one| {
            Err(RunError::Checkpoint(format!(
                "the output reads `{}`, which no phase has trained yet: the state is of phase {}. \
                 The command that began the run continues it",
                one.path, phase.name
            )))
        })
    }
}

impl Needed<'_> {
    fn number(&self, state: &State) -> Option<usize> {
        match self.kind {
            Kind::Weight => state.settled(self.path),
            kind => state.number(kind, self.path),
        }
    }

    fn is_in(&self, state: &State) -> bool {
        let sizes = || self.ty.axes.iter().map(|(_, size)| *size);
        self.number(state).is_some_and(|number| state.tensor(number).shape.iter().copied().eq(sizes()))
    }
}

fn needed<'a>(spec: &'a Spec, leaf: &Leaf) -> Option<Needed<'a>> {
    let weight = |number: usize, kind| spec.weights.get(number).map(|one| Needed { kind, path: &one.path, ty: &one.ty });
    match leaf {
        Leaf::Weight(number) => weight(*number, Kind::Weight),
        Leaf::Averaged(number) => weight(*number, Kind::Average),
        Leaf::Buffer(number) => spec.buffers.get(*number).map(|one| Needed { kind: Kind::Buffer, path: &one.path, ty: &one.ty }),
        _ => None,
    }
}

fn lasts(phase: &Phase) -> bool {
    phase.length.amount > 0.0
}

/// The phase in which a state stands, if it is not that of the end.
fn open_phase<'a>(spec: &'a Spec, state: &State) -> Option<&'a Phase> {
    spec.phases.iter().skip(state.place.phase).find(|phase| lasts(phase))
}

/// The spec with nothing but its output, and with those files of weights only that the state leaves something to.
fn rest(spec: &Spec, state: &State, needed: &[Needed]) -> Spec {
    let mut rest = Spec { evals: Vec::new(), wanted: Vec::new(), ..spec.clone() };
    for data in &mut rest.data {
        if let Pictures::Collected { fields, .. } = &mut data.source {
            fields.clear();
        }
    }
    let missing = needed.iter().filter(|one| one.number(state).is_none() && Wanted::of(spec, one.path).is_some());
    let models: BTreeSet<&str> = missing.filter_map(|one| Some(spec.pretrained_for(one.path)?.model.as_str())).collect();
    rest.pretrained.retain(|one| models.contains(one.model.as_str()));
    rest
}

/// Files of weights are those that the run read.
fn same_files(spec: &Spec, past: &Past) -> Result<(), RunError> {
    if spec.pretrained.is_empty() {
        return Ok(());
    }
    let examined = weights::examine(std::slice::from_ref(spec))?;
    for (file, hash) in &examined.files {
        if let Some((_, before)) = past.about.weights.iter().find(|(own, before)| own == file && before != hash) {
            return Err(RunError::Data(format!(
                "{file} is not the file of weights that the run began with: its SHA-256 is {hash}, then it was {before}. \
                 Bring that one back"
            )));
        }
    }
    Ok(())
}
