//! A spec as a command needs it: read, checked, elaborated, its faults told to the user.

use std::path::Path;

use segc_lang::fault::{Fault, Severity};
use segc_lang::params::{Moment, Overrides};
use segc_lang::render::render;
use segc_lang::source::Sources;
use segc_lang::spec::Spec;
use segc_lang::{Checked, compile};
use segc_runtime::outcome::RunError;
use segc_runtime::train::Specs;

use crate::console::{self, Exit};
use crate::loader::{self, Files, Refusal};

/// A spec without errors.
pub struct Compiled {
    /// All that the language knows of it.
    pub checked: Checked,
    /// What it means.
    pub spec: Spec,
    /// Name and text of the spec, then of the files that it extends or uses.
    pub texts: Vec<(String, String)>,
}

/// Compiles the spec at `path`. Warnings go to standard error unless `quiet`, errors do always and end the command.
pub fn compiled(path: &Path, overrides: &Overrides, quiet: bool) -> Result<Compiled, Exit> {
    let text = loader::open(path).map_err(|refusal| refused(&refusal))?;
    let files = Files::beside(path);
    let name = path.display().to_string();
    let (checked, spec) = whole(compile(&name, &text, &files, overrides), quiet)?;
    let texts = std::iter::once((name, text)).chain(files.read()).collect();
    Ok(Compiled { checked, spec, texts })
}

/// What was compiled, if it is without errors. Warnings are told unless `quiet`, errors always.
pub fn whole(mut checked: Checked, quiet: bool) -> Result<(Checked, Spec), Exit> {
    let spoken = |fault: &&Fault| fault.severity == Severity::Error || !quiet;
    checked.faults.iter().filter(spoken).for_each(|fault| tell(fault, &checked.modules.sources));
    let wrong = checked.faults.iter().any(|fault| fault.severity == Severity::Error);
    match checked.spec.take() {
        Some(spec) if !wrong => Ok((checked, spec)),
        _ => Err(Exit::Usage),
    }
}

/// A fault on standard error.
pub fn tell(fault: &Fault, sources: &Sources) {
    console::err(&render(fault, sources, console::color_on_stderr()));
    console::err("");
}

/// Says why there is no spec.
pub fn refused(refusal: &Refusal) -> Exit {
    tell(refusal.fault(), &Sources::default());
    Exit::Usage
}

/// Says that the command was typed wrongly.
pub fn misused(why: &str) -> Exit {
    console::error(why);
    console::err("`segc --help` shows how commands are written");
    Exit::Usage
}

/// A spec at the moments of its training.
pub struct Moments<'a> {
    /// The spec.
    pub checked: &'a Checked,
    /// What was asked for beside it.
    pub overrides: Overrides,
}

impl Specs for Moments<'_> {
    fn at(&self, moment: Moment) -> Result<Spec, RunError> {
        let (spec, faults) = self.checked.at(&Overrides { moment, ..self.overrides.clone() });
        if let Some(fault) = faults.into_iter().find(|fault| fault.severity == Severity::Error) {
            return Err(RunError::Spec(Box::new(fault)));
        }
        spec.ok_or_else(|| RunError::Usage("a phase of this spec cannot be elaborated".into()))
    }
}

/// Says why a run failed, with the place where it is one in the spec.
pub fn failed_at(error: RunError, sources: &Sources) -> Exit {
    match error {
        RunError::Spec(fault) => {
            tell(&fault, sources);
            Exit::Usage
        }
        RunError::Weights(fault) => {
            tell(&fault, sources);
            Exit::Data
        }
        RunError::NotFinite(fault) => {
            tell(&fault, sources);
            Exit::Numeric
        }
        other => failed(other),
    }
}

/// Says why a run failed.
pub fn failed(error: RunError) -> Exit {
    console::error(&error.to_string());
    match error {
        RunError::Usage(_) | RunError::Spec(_) => Exit::Usage,
        RunError::Data(_) | RunError::Weights(_) => Exit::Data,
        RunError::Checkpoint(_) => Exit::Checkpoint,
        RunError::Numeric(_) | RunError::NotFinite(_) => Exit::Numeric,
        RunError::Environment(_) => Exit::Environment,
    }
}
