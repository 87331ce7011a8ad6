//! `segc segment`: a run that is done finds the masks of photographs.

use std::path::Path;

use segc_lang::nearest;
use segc_lang::params::Overrides;
use segc_lang::spec::Spec;
use segc_lang::{Checked, compile};
use segc_runtime::checkpoint::Chosen;
use segc_runtime::outcome::RunError;
use segc_runtime::record::Past;
use segc_runtime::segment::{self, Kind, Observer, Request, Segmented};
use serde_json::Value;

use crate::cli::{Picture, Segment};
use crate::compiled::{failed, failed_at, whole};
use crate::console::{self, Exit};
use crate::interrupt::Interrupt;
use crate::loader::Texts;
use crate::progress::Progress;

/// So many files that were left out are named.
const NAMED: usize = 50;

/// So many runs in a folder are proposed in its place.
const NEARBY: usize = 8;

/// Segments.
pub fn segment(args: &Segment) -> Exit {
    attempt(args).unwrap_or_else(|exit| exit)
}

fn attempt(args: &Segment) -> Result<Exit, Exit> {
    let past = past(&args.model)?;
    let (checked, spec) = elaborated(&past)?;
    let interrupt = Interrupt::listen().map_err(|why| failed(RunError::Environment(why)))?;
    let request = Request {
        past: &past,
        spec: &spec,
        checkpoint: args.checkpoint.as_deref().map_or(Chosen::Newest, chosen),
        files: &args.files,
        out: &args.out,
        kinds: &kinds(&args.only),
        threads: args.threads.count(),
    };
    let mut watch = Watch { quiet: args.quiet, progress: Progress::new(args.quiet), interrupt };
    let done = segment::segment(&request, &mut watch);
    let pace = watch.progress.finish();
    let done = done.map_err(|error| failed_at(error, &checked.modules.sources))?;
    conclude(args, &done, &pace);
    Ok(if done.stopped { Exit::Stopped } else { Exit::Done })
}

fn past(folder: &Path) -> Result<Past, Exit> {
    Past::read(folder).map_err(|why| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut inside: Vec<String> = entries.filter(|path| Past::read(path).is_ok()).map(|path| path.display().to_string()).collect();
        inside.sort();
        inside.truncate(NEARBY);
        let help = match inside.as_slice() {
            [] if folder.is_file() => "MODEL is the folder that `segc run` wrote; a spec is run first".into(),
            [] => "MODEL is the folder that `segc run` wrote, such as runs/iem-1a2b3c4d".into(),
            runs => format!("It holds runs; name one of them: {}", nearest::list(runs)),
        };
        failed(RunError::Usage(format!("{why}. {help}")))
    })
}

/// The spec of a run from the texts that it kept, with its variants and params.
fn elaborated(past: &Past) -> Result<(Checked, Spec), Exit> {
    let about = &past.about;
    let Some(text) = about.spec.texts.first() else {
        return Err(failed(RunError::Usage(format!("{} holds no spec", past.folder.display()))));
    };
    let sets = about.sets.clone().unwrap_or_default();
    let overrides = Overrides { variants: about.variants.clone(), sets, ..Overrides::default() };
    let compiled = |overrides: &Overrides| {
        whole(compile(&text.name, &text.text, &Texts(&about.spec.texts), overrides), true).inspect_err(|_| {
            let (run, own) = (&about.segc, segc_runtime::VERSION);
            console::err(&format!("this is the text of a run that segc {run} did; segc {own} cannot use it: segment with that version"));
        })
    };
    let (checked, spec) = compiled(&overrides)?;
    match (other_params(past, &spec).as_slice(), &about.sets) {
        ([], _) => Ok((checked, spec)),
        // The run does not say how its params were written, but what they were.
        (others, None) => compiled(&Overrides { sets: others.to_vec(), ..overrides }),
        ([(name, value), ..], Some(_)) => {
            let why = format!("the spec of {} does not give the params that the run had: {name} was {value}", past.folder.display());
            Err(failed(RunError::Usage(format!("{why}. Segment with segc {}, which did the run", about.segc))))
        }
    }
}

/// Params that are others in the spec than they were in the run, with their values in the run as one writes them.
fn other_params(past: &Past, spec: &Spec) -> Vec<(String, String)> {
    let own = |name: &str| spec.params.iter().find(|param| param.name == name).and_then(|param| serde_json::to_value(&param.value).ok());
    let differs = |(name, value): &&(String, Value)| own(name).as_ref() != Some(value);
    past.about.params.iter().filter(differs).map(|(name, value)| (name.clone(), written(value))).collect()
}

fn written(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn chosen(word: &Path) -> Chosen {
    let steps = word.to_str().and_then(|word| word.parse().ok());
    steps.map_or_else(|| Chosen::File(word.into()), Chosen::Step)
}

/// The kinds, each once, in their own order.
fn kinds(only: &[Picture]) -> Vec<Kind> {
    let wanted = |kind: &Kind| {
        only.contains(&match kind {
            Kind::Mask => Picture::Mask,
            Kind::Cutout => Picture::Cutout,
            Kind::Overlay => Picture::Overlay,
        })
    };
    Kind::ALL.into_iter().filter(wanted).collect()
}

/// Shows how far it is.
struct Watch {
    quiet: bool,
    progress: Progress,
    interrupt: Interrupt,
}

impl Observer for Watch {
    fn remark(&mut self, text: &str) {
        if !self.quiet {
            console::err(&format!("note: {text}"));
        }
    }

    fn progress(&mut self, done: usize, total: usize) {
        self.progress.set(done, total);
    }

    fn stop(&self) -> bool {
        self.interrupt.asked()
    }
}

fn conclude(args: &Segment, done: &Segmented, pace: &str) {
    for one in done.skipped.iter().take(NAMED) {
        console::err(&format!("left out {}: {}", one.file.display(), one.why));
    }
    if done.skipped.len() > NAMED {
        console::err(&format!("left out {} more", console::count(done.skipped.len() - NAMED, "file")));
    }
    if let Some((first, note)) = done.notes.first().filter(|_| !args.quiet) {
        let more =
            if done.notes.len() > 1 { format!(", and {} more", console::count(done.notes.len() - 1, "note")) } else { String::new() };
        console::err(&format!("noted {first}: {note}{more}"));
    }
    if !args.quiet {
        console::err(&format!("{pace}\n"));
        console::out(&format!("{} segmented: {}\n", console::count(done.written, "photograph"), args.out.display()));
    }
    if done.stopped {
        console::err("stopped by a signal; what is written is whole, and the same command begins anew");
    }
}
