//! What a run does with one part of a data item, or with samples that need no data: the output and the evaluations over it.

use std::collections::HashMap;

use segc_lang::spec::{Eval, Over, Prim, Spec, TermId};

use super::means::full_name;
use super::pass::{Samples, Settled};
use super::sample::{Computed, Worker};
use super::{Means, Options, Programs, resolved};
use crate::data::{Frame, Skipped, ends};
use crate::execute::Compiler;
use crate::outcome::{Done, Found, Measured, Observer, Outcome, PICTURES, RunError};

/// Output and evaluations over the same samples.
pub(crate) struct Task<'a> {
    pub over: Over,
    /// Whether the first term is the output.
    has_output: bool,
    pub evals: Vec<&'a Eval>,
    /// Evaluations that are left out, with the reason.
    pub skipped: Vec<Measured>,
    pub roots: Vec<(String, TermId)>,
}

/// The tasks of a spec: data items by number, then samples without data.
pub(crate) fn tasks<'a>(spec: &'a Spec, settled: &Settled) -> Vec<Task<'a>> {
    let mut tasks: Vec<Task> = Vec::new();
    if let Some(output) = &spec.output {
        let over = resolved(spec, Over::Data(output.data, segc_lang::spec::Part::Whole));
        let roots = vec![(output.name.clone(), output.value)];
        tasks.push(Task { over, has_output: true, evals: Vec::new(), skipped: Vec::new(), roots });
    }
    let labels = |data: usize| settled.set(data).is_some_and(|set| set.has_labels());
    spec.evals.iter().for_each(|eval| add(&mut tasks, eval, spec, &labels));
    tasks.sort_by_key(|task| match task.over {
        Over::Data(data, _) => data,
        Over::Samples(_) => usize::MAX,
    });
    tasks
}

/// Adds an evaluation to the task over its samples. `labels` says which data items have ground truth.
pub(crate) fn add<'a>(tasks: &mut Vec<Task<'a>>, eval: &'a Eval, spec: &Spec, labels: &dyn Fn(usize) -> bool) {
    let over = resolved(spec, eval.over);
    let at = tasks.iter().position(|task| task.over == over).unwrap_or_else(|| {
        tasks.push(Task { over, has_output: false, evals: Vec::new(), skipped: Vec::new(), roots: Vec::new() });
        tasks.len() - 1
    });
    let task = &mut tasks[at];
    if eval.needs_labels && !has_labels(eval, over, spec, labels) {
        let why = "the data has no ground truth: give `labels`, a folder of masks".to_owned();
        task.skipped.push(Measured { name: eval.name.clone(), values: Vec::new(), samples: 0, skipped: Some(why) });
        return;
    }
    task.roots.extend(eval.values.iter().map(|(value, id)| (full_name(&eval.name, value), *id)));
    task.evals.push(eval);
}

/// Whether there is ground truth for an evaluation: in the data that it goes over or, where it goes over none, in all whose labels it
/// averages.
fn has_labels(eval: &Eval, over: Over, spec: &Spec, labels: &dyn Fn(usize) -> bool) -> bool {
    let roots: Vec<TermId> = eval.values.iter().map(|(_, id)| *id).collect();
    match over {
        Over::Data(data, _) => labels(data),
        Over::Samples(_) => spec.terms.below(&roots).iter().all(|term| match &term.prim {
            Prim::Field { data, field } => field != "label" || labels(*data),
            _ => true,
        }),
    }
}

/// What became of a sample.
enum Message {
    Found(Box<Found>),
    Kept(Box<Done>),
    Skipped(Skipped),
}

impl Task<'_> {
    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Computes everything, image by image; what an earlier run found is taken from there.
    pub fn run(
        &self,
        number: usize,
        settled: &Settled,
        options: &Options,
        compiler: &mut Compiler,
        observer: &mut dyn Observer,
        outcome: &mut Outcome,
    ) -> Result<(), RunError> {
        let programs = Programs::new(settled.spec, &self.roots, compiler)?;
        let averages = settled.averages(&programs)?;
        let done: HashMap<usize, &Done> = options.done.iter().filter(|done| done.pass == number).map(|done| (done.index, done)).collect();
        let total = settled.count(self.over);
        let mut means = Means::new(&self.evals);
        let work = |worker: &mut Worker, index: usize, samples: Result<Samples, Skipped>| -> Result<Message, RunError> {
            let samples = match samples {
                Ok(samples) => samples,
                Err(skipped) => return Ok(Message::Skipped(skipped)),
            };
            let stem = stem(&samples, index);
            if let Some(done) = done.get(&index).filter(|done| done.stem == stem) {
                return Ok(Message::Kept(Box::new((*done).clone())));
            }
            let computed = worker.run(index, &samples)?;
            Ok(Message::Found(Box::new(self.found(number, index, samples, computed, settled))))
        };
        let taken = settled.each(self.over, total, &programs, &averages, work, |index, message| {
            receive(message?, observer, outcome, &mut means)?;
            observer.progress(index + 1, total);
            Ok(!observer.stop())
        })?;
        outcome.stopped = taken < total;
        outcome.images += means.images();
        let (measured, curves) = means.finish();
        outcome.measured.extend(measured);
        outcome.curves.extend(curves);
        Ok(())
    }

    /// The evaluations alone. Samples that cannot be read are left out.
    pub fn measure(&self, settled: &Settled, programs: &Programs) -> Result<Vec<Measured>, RunError> {
        let mut means = Means::new(&self.evals);
        for values in settled.first(self.over, usize::MAX, programs)? {
            let names = self.roots.iter().map(|(name, _)| name.clone());
            means.add(&names.zip(values.iter().map(|value| f64::from(value[0]))).collect::<Vec<_>>(), &[]);
        }
        Ok(means.finish().0)
    }

    fn found(&self, pass: usize, index: usize, mut samples: Samples, mut computed: Computed, settled: &Settled) -> Found {
        let stem = stem(&samples, index);
        let figures = computed.values.split_off(usize::from(self.has_output));
        let names = self.roots[usize::from(self.has_output)..].iter().map(|(name, _)| name.clone());
        let values = names.zip(figures.iter().map(|figure| f64::from(figure[0]))).collect();
        let mask = computed.values.pop().unwrap_or_default();
        let Over::Data(data, part) = self.over else {
            return Found { stem, values, curves: computed.curves, notes: computed.notes, ..Found::bare(pass, index) };
        };
        let photo = if index < PICTURES { settled.set(data).and_then(|set| set.photo(part, index).ok()) } else { None };
        let (mut fields, frame) = match samples.is_empty() {
            true => (Default::default(), Frame { photo: (0, 0), window: (0.0, 0.0, 0.0, 0.0) }),
            false => {
                let (_, sample) = samples.swap_remove(0);
                (sample.fields, sample.frame)
            }
        };
        Found {
            pass,
            index,
            stem,
            mask,
            size: settled.spec.data[data].size,
            frame,
            photo,
            image: fields.remove("image").unwrap_or_default(),
            range: ends(&settled.spec.data[data].steps),
            label: fields.remove("label"),
            values,
            curves: computed.curves,
            notes: computed.notes,
        }
    }
}

fn stem(samples: &Samples, index: usize) -> String {
    samples.first().map_or_else(|| format!("sample-{index:05}"), |(_, sample)| sample.stem.clone())
}

fn receive(message: Message, observer: &mut dyn Observer, outcome: &mut Outcome, means: &mut Means) -> Result<(), RunError> {
    let noted = |outcome: &mut Outcome, stem: &str, notes: &[String]| {
        outcome.notes.extend(notes.iter().map(|note| (stem.to_owned(), note.clone())));
    };
    match message {
        Message::Found(found) => {
            means.add(&found.values, &found.curves);
            noted(outcome, &found.stem, &found.notes);
            observer.found(*found)
        }
        Message::Kept(done) => {
            means.add(&done.values, &done.curves);
            noted(outcome, &done.stem, &done.notes);
            observer.kept(done.pass, done.index)
        }
        Message::Skipped(skipped) => {
            outcome.skipped.push((skipped.file.display().to_string(), skipped.why));
            Ok(())
        }
    }
}
