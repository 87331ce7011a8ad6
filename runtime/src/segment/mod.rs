//! A run that is done, applied to photographs: what its spec calls `output`, computed with its models for files of any size.
//!
//! A photograph is seen whole: in the place of all crops and resizes of the output's data item there is one resize to the item's size,
//! and the mask is brought back to the photograph's own. Of one that has this size already nothing is changed, so its mask is that of
//! the run. What the output averages over data is computed from the run's data. Nothing here knows a method.

mod models;
mod picture;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use segc_compiler::Leaf;
use segc_lang::spec::{Data, Filter, Output, Over, Part, Pictures, Spec, Step};

use crate::checkpoint::Chosen;
use crate::data::{self, DataSet, Folder, Named, Sample, Skipped, place};
use crate::execute::cuda;
use crate::outcome::RunError;
use crate::record::Past;
use crate::record::folder::{self, Care};
use crate::record::names::Names;
use crate::session::pass::{Samples, Worker};
use crate::session::{self, Models, On, Options, Programs, Settled};
use crate::train::Time;
use models::Ready;
pub use picture::Kind;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The run.
    pub past: &'a Past,
    /// Its spec, elaborated for the end of the run.
    pub spec: &'a Spec,
    /// With which of its states.
    pub checkpoint: Chosen,
    /// Photographs and folders of photographs.
    pub files: &'a [PathBuf],
    /// The folder for what is written.
    pub out: &'a Path,
    /// What is written of each photograph.
    pub kinds: &'a [Kind],
    /// Threads; results do not depend on it.
    pub threads: usize,
}

/// Watches. All calls come from one thread.
pub trait Observer {
    /// Something that a reader of the masks must know, before anything is computed.
    fn remark(&mut self, text: &str);
    /// `done` of `total` photographs are done.
    fn progress(&mut self, done: usize, total: usize);
    /// Whether to stop after the photographs at hand.
    fn stop(&self) -> bool;
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Segmented {
    /// Photographs whose pictures were written.
    pub written: usize,
    /// Files that could not be used.
    pub skipped: Vec<Skipped>,
    /// Photographs with something to say: stem and note.
    pub notes: Vec<(String, String)>,
    /// Whether the observer stopped it before the last photograph.
    pub stopped: bool,
}

/// Segments photographs. A file that cannot be read is left out and named.
///
/// # Errors
/// [`RunError::Usage`] for a spec whose output is of no photographs or reads ground truth; [`RunError::Data`] where no photograph can
/// be read, or data or weights of the run are gone; [`RunError::Checkpoint`] where the run has no state to be used;
/// [`RunError::Environment`] for failing disks.
pub fn segment(request: &Request, observer: &mut dyn Observer) -> Result<Segmented, RunError> {
    let past = request.past;
    let on = On::named(&past.about.device)
        .ok_or_else(|| RunError::Usage(format!("the run was computed by `{}`, which this segc was built without", past.about.device)))?;
    let (on, instead) = elsewhere(on);
    let output = output(request.spec)?;
    let named = Named::of(request.files, &Kind::ALL.map(|kind| kind.file("")));
    if named.files.is_empty() {
        return Err(nothing(&named.skipped));
    }
    let options = Options { seed: past.about.seed, on, ..Options::plain(request.threads) };
    let mut compiler = session::compiler(&options)?;
    let programs = Programs::new(request.spec, &[(output.name.clone(), output.value)], &mut compiler)?;
    refuse_other_fields(request.spec, output, &programs)?;
    let ready = models::ready(request, &programs, &mut compiler)?;
    instead.iter().chain(&ready.remarks).for_each(|remark| observer.remark(remark));
    let made = !request.out.exists();
    folder::make(request.out)?;
    let done = Pass { request, output, programs: &programs, options: &options, ready: &ready }.run(named, observer);
    if made && !done.as_ref().is_ok_and(|done| done.written > 0) {
        // Fails if something is in it, which then stays.
        let _ = std::fs::remove_dir(request.out);
    }
    match done {
        Ok(done) if done.written == 0 && !done.stopped => Err(nothing(&done.skipped)),
        other => other,
    }
}

/// The processor serves where a card computed the run and none is here, which is said.
fn elsewhere(on: On) -> (On, Option<String>) {
    match on {
        On::Cuda(_) => cuda::card().err().map_or((on, None), |why| {
            let told = format!("a card computed the run, and the processor does this, up to the last bits: {}", why.reason());
            (On::Cpu, Some(told))
        }),
        _ => (on, None),
    }
}

/// What is the same for all photographs.
struct Pass<'a> {
    request: &'a Request<'a>,
    output: &'a Output,
    programs: &'a Programs,
    options: &'a Options,
    ready: &'a Ready,
}

/// A photograph with its pictures, in the order of the kinds.
struct Made {
    stem: String,
    pictures: Vec<Vec<u8>>,
    notes: Vec<String>,
}

impl Pass<'_> {
    fn run(&self, named: Named, observer: &mut dyn Observer) -> Result<Segmented, RunError> {
        let mut done = Segmented { skipped: named.skipped, ..Segmented::default() };
        let mut names = taken(self.request.out, &named.files);
        let spec = self.request.spec;
        let averages = self.settled(&self.averaged()?).averages(self.programs)?;
        let photographs: Arc<dyn DataSet> = Arc::new(Folder::of_files(&whole(&spec.data[self.output.data]), named.files));
        let mut sets = vec![None; spec.data.len()];
        sets[self.output.data] = Some(photographs.clone());
        let (over, total) = (Over::Data(self.output.data, Part::Whole), photographs.len(Part::Whole));
        let work = |worker: &mut Worker, index: usize, samples: Result<Samples, Skipped>| self.made(worker, index, samples, &*photographs);
        let taken = self.settled(&sets).each(over, total, self.programs, &averages, work, |index, made| {
            match made? {
                Ok(made) => self.write(made, &mut names, &mut done)?,
                Err(skipped) => done.skipped.push(skipped),
            }
            observer.progress(index + 1, total);
            Ok(!observer.stop())
        })?;
        done.stopped = taken < total;
        Ok(done)
    }

    fn settled<'s>(&'s self, sets: &'s [Option<Arc<dyn DataSet>>]) -> Settled<'s> {
        let (spec, state) = (self.request.spec, &self.ready.state);
        let time = Time { elapsed: state.elapsed, ..Time::of(self.options.seed, spec.phases.len(), 0, 0) };
        Settled { spec, sets, models: Models::new(spec, state, time), threads: self.options.threads, check_nan: None }
    }

    /// The data of the run that the output averages over.
    fn averaged(&self) -> Result<Vec<Option<Arc<dyn DataSet>>>, RunError> {
        let spec = self.request.spec;
        let mut sets = vec![None; spec.data.len()];
        for number in self.programs.averaged() {
            // As at the end of a run, which collects nothing.
            if sets[number].is_none() && !matches!(spec.data[number].source, Pictures::Collected { .. }) {
                sets[number] = Some(Arc::from(data::open(&spec.data[number], self.options.seed)?));
            }
        }
        Ok(sets)
    }

    fn made(
        &self,
        worker: &mut Worker,
        index: usize,
        samples: Result<Samples, Skipped>,
        photographs: &dyn DataSet,
    ) -> Result<Result<Made, Skipped>, RunError> {
        let samples = match samples {
            Ok(samples) => samples,
            Err(skipped) => return Ok(Err(skipped)),
        };
        let Some((_, Sample { stem, frame, .. })) = samples.first() else {
            return Err(RunError::Usage(format!("the output `{}` reads no photograph", self.output.name)));
        };
        let photo = match photographs.photo(Part::Whole, index) {
            Ok(photo) => photo,
            Err(skipped) => return Ok(Err(skipped)),
        };
        let computed = worker.run(index, &samples)?;
        let values = computed.values.first().map(Vec::as_slice).unwrap_or_default();
        let mask = place(values, self.request.spec.data[self.output.data].size, frame);
        let pictures = self.request.kinds.iter().map(|kind| kind.png(&photo, &mask)).collect::<Result<Vec<_>, _>>();
        let pictures = pictures.map_err(|cause| RunError::Environment(format!("{stem}: its pictures cannot be made: {cause}")))?;
        Ok(Ok(Made { stem: stem.clone(), pictures, notes: computed.notes }))
    }

    fn write(&self, made: Made, names: &mut Names, done: &mut Segmented) -> Result<(), RunError> {
        let files = names.free(&made.stem, |stem| self.request.kinds.iter().map(|kind| kind.file(stem)).collect());
        for (file, png) in files.iter().zip(&made.pictures) {
            folder::write(&self.request.out.join(file), png, Care::Quick)?;
        }
        done.notes.extend(made.notes.into_iter().map(|note| (made.stem.clone(), note)));
        done.written += 1;
        Ok(())
    }
}

/// What a run of the spec writes, if photographs can take the place of its data.
fn output(spec: &Spec) -> Result<&Output, RunError> {
    if let Some(pending) = spec.pending.first() {
        return Err(RunError::Usage(format!("{} cannot be executed yet", pending.what)));
    }
    let Some(output) = &spec.output else {
        return Err(RunError::Usage(format!("`{}` has no `output`, so there is nothing to find in photographs", spec.name)));
    };
    match &spec.data[output.data] {
        Data { source: Pictures::Collected { .. }, name, .. } => Err(RunError::Usage(format!(
            "`output {}` goes over `{name}`, which the run collects as it trains; photographs can take the place of `pictures(..)` only",
            output.name
        ))),
        _ => Ok(output),
    }
}

/// Photographs alone have an image and nothing else.
fn refuse_other_fields(spec: &Spec, output: &Output, programs: &Programs) -> Result<(), RunError> {
    let other = programs.inputs().find_map(|leaf| match leaf {
        Leaf::Field(data, field) if *data != output.data || field != "image" => Some((&spec.data[*data].name, field)),
        _ => None,
    });
    other.map_or(Ok(()), |(data, field)| {
        let what = if field == "label" { ", ground truth" } else { "" };
        Err(RunError::Usage(format!(
            "`output {}` reads `{data}.{field}`{what}, which photographs alone do not have; \
             segment with a run whose output is computed from the images of its own data",
            output.name
        )))
    })
}

/// The data item for whole photographs: one resize in the place of everything that moves, picks or cuts; colours stay.
fn whole(data: &Data) -> Data {
    let filter = |step: &Step| match step {
        Step::ShorterSide { by, .. } | Step::Resize { by, .. } | Step::RandomResizedCrop { by, .. } => Some(*by),
        _ => None,
    };
    let by = data.steps.iter().rev().find_map(filter).unwrap_or(Filter::Bilinear);
    let colours = data.steps.iter().filter(|step| matches!(step, Step::Range { .. } | Step::Normalise { .. })).cloned();
    let steps = std::iter::once(Step::Resize { side: data.size.0, by }).chain(colours).collect();
    Data { steps, ..data.clone() }
}

/// The names of photographs that lie in the folder of the results: none of them is written over.
fn taken(out: &Path, files: &[(String, PathBuf)]) -> Names {
    let mut names = Names::default();
    let out = out.canonicalize().ok();
    for path in files.iter().filter_map(|(_, path)| path.canonicalize().ok()).filter(|path| path.parent() == out.as_deref()) {
        names.take(&path.file_name().unwrap_or_default().to_string_lossy());
    }
    names
}

fn nothing(skipped: &[Skipped]) -> RunError {
    let reasons: String = skipped.iter().take(SHOWN).map(|one| format!("\n  {}: {}", one.file.display(), one.why)).collect();
    let more = if skipped.len() > SHOWN { format!("\n  and {} more", skipped.len() - SHOWN) } else { String::new() };
    RunError::Data(format!("no photograph could be read:{reasons}{more}"))
}

/// So many files are named where none could be read.
const SHOWN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_is_seen_whole_in_the_colours_of_the_pipeline() {
        let steps = vec![
            Step::Resize { side: 40, by: Filter::Bicubic },
            Step::RandomCrop { side: 32 },
            Step::Flip { chance: 0.5 },
            Step::Range { low: -1.0, high: 1.0 },
            Step::Chunk { number: 0, of: 5 },
        ];
        let source = Pictures::Folder { photos: "a".into(), labels: None, split: None };
        let span = segc_lang::source::Span { source: segc_lang::source::SourceId(0), start: 0, end: 0 };
        let data = Data { name: "images".into(), source, steps, size: (32, 32), span };
        let expected = [Step::Resize { side: 32, by: Filter::Bicubic }, Step::Range { low: -1.0, high: 1.0 }];
        assert_eq!(whole(&data).steps, expected);
        let bare = Data { steps: vec![Step::CenterCrop { side: 32 }], ..data };
        assert_eq!(whole(&bare).steps, [Step::Resize { side: 32, by: Filter::Bilinear }]);
    }
}
