//! What a phase shows, measures and decides: terms of the spec in which all models are settled.

use std::collections::HashMap;
use std::sync::Arc;

use segc_lang::params::Moment;
use segc_lang::source::Span;
use segc_lang::spec::{Act, Eval, Over, Spec, Statement, TermId, flat};

use super::clock::Time;
use super::log::{Figures, Panel};
use super::{Trainer, start};
use crate::data::{DataSet, Ends, ends};
use crate::outcome::RunError;
use crate::session::{Models, Programs, Settled, task, together};

/// The rules of a phase.
pub(super) struct Rules {
    spec: Spec,
    statements: Vec<Statement>,
    sets: Vec<Option<Arc<dyn DataSet>>>,
    /// By number of the rule; an evaluation has one for each set of samples.
    programs: HashMap<usize, Vec<Programs>>,
}

/// What a rule says.
pub(super) enum Verdict {
    /// A number to be as large as possible.
    Keep(f64),
    /// Whether the phase begins anew.
    Restart(bool),
    /// Whether the phase is over.
    Finish(bool),
    /// Pictures.
    Show(Vec<Panel>),
    /// Evaluations.
    Measured(Vec<Figures>),
}

impl Rules {
    /// Elaborates the phase for settled models and gives those that training does not know first values.
    pub fn open(trainer: &mut Trainer) -> Result<Rules, RunError> {
        let number = trainer.state.place.phase;
        let spec = trainer.specs.at(Moment::Phase { number, training: false })?;
        if let Some(pending) = spec.pending.first() {
            return Err(super::pending(&spec, number, &pending.what));
        }
        start::complete(trainer.state, &spec, trainer.options.seed, &mut trainer.compiler)?;
        let statements = flat(&spec.phases[number].body).into_iter().filter(|statement| is_rule(&statement.act)).cloned().collect();
        let sets = vec![None; spec.data.len()];
        Ok(Rules { statements, sets, programs: HashMap::new(), spec })
    }

    /// What the rule that stands at a place says at a time.
    pub fn verdict(&mut self, place: Span, trainer: &mut Trainer, time: Time) -> Result<Verdict, RunError> {
        let found = self.statements.iter().enumerate().find(|(_, statement)| statement.span == place);
        let Some((number, statement)) = found else {
            return Err(RunError::Usage("a rule of a phase is not there where its models are settled".into()));
        };
        match statement.act.clone() {
            Act::Keep(Some(term)) => self.scalar(number, term, trainer, time).map(Verdict::Keep),
            Act::Restart(Some(term)) => self.scalar(number, term, trainer, time).map(|truth| Verdict::Restart(truth != 0.0)),
            Act::Finish(Some(term)) => self.scalar(number, term, trainer, time).map(|truth| Verdict::Finish(truth != 0.0)),
            Act::Show { count, values } => self.show(number, count, &values, trainer, time).map(Verdict::Show),
            Act::Measure(names) => self.measure(number, &names, trainer, time).map(Verdict::Measured),
            _ => Err(RunError::Usage("a rule of a phase has no terms for settled models".into())),
        }
    }

    fn scalar(&mut self, number: usize, term: TermId, trainer: &mut Trainer, time: Time) -> Result<f64, RunError> {
        self.compile(number, vec![vec![("value".to_owned(), term)]], trainer)?;
        let settled = settled(&self.spec, &self.sets, trainer, time);
        let values = settled.first(Over::Samples(1), 1, &self.programs[&number][0])?;
        Ok(values.first().and_then(|terms| terms.first()?.first()).map_or(f64::NAN, |value| f64::from(*value)))
    }

    fn show(
        &mut self,
        number: usize,
        count: usize,
        values: &[(String, TermId)],
        trainer: &mut Trainer,
        time: Time,
    ) -> Result<Vec<Panel>, RunError> {
        let samples = match self.spec.joins_samples(&values.iter().map(|(_, term)| *term).collect::<Vec<_>>()) {
            true => self.joined(count, values, trainer, time)?,
            false => {
                self.compile(number, vec![values.to_vec()], trainer)?;
                settled(&self.spec, &self.sets, trainer, time).first(Over::Samples(count), count, &self.programs[&number][0])?
            }
        };
        let range = range([&self.spec, trainer.end]);
        let panel = |(at, (name, term)): (usize, &(String, TermId))| {
            let sizes: Vec<usize> = self.spec.terms.get(*term).ty.axes.iter().map(|(_, size)| *size).collect();
            let (channels, size, range) = match sizes[..] {
                [channels, height, width] => (channels, (height, width), range),
                [height, width] => (1, (height, width), [(0.0, 1.0); 3]),
                _ => (1, (1, 1), [(0.0, 1.0); 3]),
            };
            Panel { name: name.clone(), channels, size, range, samples: samples.iter().map(|terms| terms[at].clone()).collect() }
        };
        // What a perturbation leaves as it is would be shown twice.
        let known = |(at, (_, term)): &(usize, &(String, TermId))| values[..*at].iter().any(|(_, earlier)| earlier == term);
        Ok(values.iter().enumerate().filter(|value| !known(value)).map(panel).collect())
    }

    /// What is shown of a whole batch: its samples are each other's.
    fn joined(&mut self, count: usize, values: &[(String, TermId)], trainer: &mut Trainer, time: Time) -> Result<Samples, RunError> {
        let ready = together::program(&self.spec, values, count, &mut trainer.settled)?;
        open(together::fields(ready.program()).into_iter(), &self.spec, &mut self.sets, trainer)?;
        settled(&self.spec, &self.sets, trainer, time).together(values, count, ready.as_ref())
    }

    fn measure(&mut self, number: usize, names: &[String], trainer: &mut Trainer, time: Time) -> Result<Vec<Figures>, RunError> {
        let Rules { spec, sets, programs, .. } = self;
        let evals: Vec<&Eval> = spec.evals.iter().filter(|eval| names.contains(&eval.name)).collect();
        let over = evals.iter().filter_map(|eval| if let Over::Data(data, _) = eval.over { Some(data) } else { None });
        open(over, spec, sets, trainer)?;
        let mut tasks = Vec::new();
        let labels = |data: usize| sets[data].as_ref().is_some_and(|set| set.has_labels());
        evals.iter().for_each(|eval| task::add(&mut tasks, eval, spec, &labels));
        let mut figures: Vec<Figures> = tasks.iter().flat_map(|task| &task.skipped).map(Figures::of).collect();
        tasks.retain(|task| !task.is_empty());
        let roots = tasks.iter().map(|task| task.roots.clone()).collect();
        compile(number, roots, spec, sets, programs, trainer)?;
        let settled = settled(spec, sets, trainer, time);
        for (task, programs) in tasks.iter().zip(&programs[&number]) {
            figures.extend(task.measure(&settled, programs)?.iter().map(Figures::of));
        }
        Ok(figures)
    }

    fn compile(&mut self, number: usize, roots: Vec<Roots>, trainer: &mut Trainer) -> Result<(), RunError> {
        compile(number, roots, &self.spec, &mut self.sets, &mut self.programs, trainer)
    }
}

/// For each sample the values of some terms.
type Samples = Vec<Vec<Vec<f32>>>;

/// Named terms of one program.
type Roots = Vec<(String, TermId)>;

/// Compiles what a rule computes, once, and opens the data that it reads.
fn compile(
    number: usize,
    roots: Vec<Roots>,
    spec: &Spec,
    sets: &mut [Option<Arc<dyn DataSet>>],
    programs: &mut HashMap<usize, Vec<Programs>>,
    trainer: &mut Trainer,
) -> Result<(), RunError> {
    if programs.contains_key(&number) {
        return Ok(());
    }
    let made = roots.iter().map(|roots| Programs::new(spec, roots, &mut trainer.settled)).collect::<Result<Vec<_>, _>>()?;
    open(made.iter().flat_map(Programs::data), spec, sets, trainer)?;
    programs.insert(number, made);
    Ok(())
}

fn open(
    data: impl Iterator<Item = usize>,
    spec: &Spec,
    sets: &mut [Option<Arc<dyn DataSet>>],
    trainer: &mut Trainer,
) -> Result<(), RunError> {
    for number in data {
        if sets[number].is_none() {
            sets[number] = Some(trainer.data(spec, number)?);
        }
    }
    Ok(())
}

fn settled<'a>(spec: &'a Spec, sets: &'a [Option<Arc<dyn DataSet>>], trainer: &'a Trainer, time: Time) -> Settled<'a> {
    let models = Models::new(spec, trainer.state, time);
    Settled { spec, sets, models, threads: trainer.options.threads, check_nan: trainer.options.check_nan }
}

/// The range of pictures with channels: that of the data. A phase knows only the data that it reads.
fn range(specs: [&Spec; 2]) -> Ends {
    let mut all = specs.into_iter().flat_map(|spec| &spec.data).map(|data| ends(&data.steps));
    all.find(|own| *own != [(0.0, 1.0); 3]).unwrap_or([(0.0, 1.0); 3])
}

/// Whether a statement reads settled models.
pub(super) fn is_rule(act: &Act) -> bool {
    matches!(act, Act::Keep(_) | Act::Restart(_) | Act::Finish(_) | Act::Show { .. } | Act::Measure(_))
}
