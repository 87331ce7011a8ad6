//! Training phases: what a step does and what happens now and then.
//!
//! A phase is elaborated for itself ([`crate::params::Moment`]), twice: where its models train, for its updates and averages, and where
//! all models are settled, for what it shows, measures and decides. Both have the same statements; each leaves out the terms of the
//! other.

use super::{TermId, Unit, Weight};
use crate::source::Span;

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duration {
    /// How many of the unit.
    pub amount: f64,
    /// What is counted.
    pub unit: Unit,
}

/// A training phase.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Its name with its index: `grow[32]`.
    pub name: String,
    /// How long it takes; zero is a phase that is skipped.
    pub length: Duration,
    /// Samples of a batch.
    pub batch: usize,
    /// Models that start anew, as [`Phase::trained`] names them.
    pub fresh: Vec<String>,
    /// Models that the phase updates, by the beginning of their paths: `critic`, `G.0`.
    pub trained: Vec<String>,
    /// What a step does, in order. Empty but for the phase that the spec was elaborated for.
    pub body: Vec<Statement>,
    /// Where it is defined.
    pub span: Span,
}

/// A statement of a phase.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it is.
    pub act: Act,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of statements. Terms of values that are decided or shown are none where the models train.
#[derive(Clone, Debug)]
pub enum Act {
    /// One turn or several: fresh data, fresh draws, one step of an optimiser.
    Update(Update),
    /// Updates that share one turn, its data and draws; later ones see the models that earlier ones left.
    Together(Vec<Statement>),
    /// Moving averages of weights.
    Average(Average),
    /// After each such time of the phase.
    Every(Duration, Vec<Statement>),
    /// When the phase is over.
    Finally(Vec<Statement>),
    /// The models of the largest value are what the phase hands on.
    Keep(Option<TermId>),
    /// The phase begins anew, its models with other first values, where this is true.
    Restart(Option<TermId>),
    /// The phase is over where this is true.
    Finish(Option<TermId>),
    /// Pictures of so many samples: name and value, `[height, width]` or `[channel, height, width]` with one or three channels.
    Show {
        /// Samples.
        count: usize,
        /// `world.front.mask` and its term.
        values: Vec<(String, TermId)>,
    },
    /// Evaluations, by name: those in [`super::Spec::evals`] of the settled spec.
    Measure(Vec<String>),
    /// The state is written to the disk.
    Checkpoint,
}

/// An update.
#[derive(Clone, Debug)]
pub struct Update {
    /// Name of the loss: `generator`.
    pub loss: String,
    /// The models, as in [`Phase::trained`].
    pub models: Vec<String>,
    /// How many turns in a row.
    pub repeat: usize,
    /// What is computed; none where models are settled.
    pub terms: Option<UpdateTerms>,
}

/// What an update computes. All terms are shared values: the batch is averaged over.
#[derive(Clone, Debug)]
pub struct UpdateTerms {
    /// The loss, its mean over the batch.
    pub loss: TermId,
    /// Numbers of the weights that the loss reaches, in [`super::Spec::weights`], with their new values. States of optimisers are buffers:
    /// `critic.block.8.conv_1.w.m`.
    pub weights: Vec<(usize, TermId)>,
}

/// Moving averages.
#[derive(Clone, Debug)]
pub struct Average {
    /// The models, as in [`Phase::trained`].
    pub models: Vec<String>,
    /// Before this much of the phase the average is the weight itself.
    pub from: Option<Duration>,
    /// Numbers of the weights with the new values of their averages, over [`super::Prim::Averaged`]; empty where models are settled.
    pub weights: Vec<(usize, TermId)>,
}

/// All statements in the order of the text; of `together`, `every` and `finally` those inside.
pub fn flat<'a>(body: &'a [Statement]) -> Vec<&'a Statement> {
    let inside = |statement: &'a Statement| match &statement.act {
        Act::Together(list) | Act::Every(_, list) | Act::Finally(list) => flat(list),
        _ => vec![statement],
    };
    body.iter().flat_map(inside).collect()
}

impl Phase {
    /// Its updates, in the order of the text.
    pub fn updates(&self) -> Vec<&Update> {
        flat(&self.body)
            .into_iter()
            .filter_map(|statement| if let Act::Update(update) = &statement.act { Some(update) } else { None })
            .collect()
    }
}

impl UpdateTerms {
    /// What is compiled, by name: `loss`, and `weight.PATH` for the new values of each weight.
    pub fn roots(&self, weights: &[Weight]) -> Vec<(String, TermId)> {
        let weight = |(number, term): &(usize, TermId)| (format!("weight.{}", weights[*number].path), *term);
        std::iter::once(("loss".to_owned(), self.loss)).chain(self.weights.iter().map(weight)).collect()
    }
}
