//! Golden cases: values, derivatives and derivatives of derivatives that PyTorch computed in f64, against a device.
//!
//! Every case becomes a small spec in the language: `forms/<group>.forms` says for each op how its definition reads there, with the
//! case's attributes filled in. So norms, losses, optimisers and nets are those of the library, not twins of them. The spec is compiled
//! as any other; the tolerance is stored with the case.

pub mod case;
pub mod form;
mod judge;
mod text;

use std::path::Path;

use segc_lang::fault::Severity;
use segc_lang::params::Overrides;
use segc_lang::source::{LoadError, Loader};
use segc_lang::spec::Spec;

use super::{Found, shared};
use crate::execute::Device;
use crate::outcome::RunError;
use case::Case;
use form::Forms;
pub use judge::Asked;

macro_rules! groups {
    ($($name:literal)*) => {
        /// The groups of cases, each with the text of its forms.
        pub const GROUPS: &[(&str, &str)] = &[$(($name, include_str!(concat!("forms/", $name, ".forms")))),*];
    };
}

groups! { "elementwise" "shape" "reduce" "linalg" "conv" "spatial" "norm" "losses" "optim" "nets" }

/// A case that is ready to be compiled.
type Waiting<'a> = (&'a Case, &'a Forms);

/// Runs all cases of a folder on a device, on so many threads of this machine. `may_refuse`: what the device says it cannot run is noted.
/// Errors: a file is missing or damaged, in words.
pub fn check(folder: &Path, device: &dyn Device, threads: usize, may_refuse: bool) -> Result<Found, String> {
    let mut groups = Vec::new();
    for (name, forms) in GROUPS {
        groups.push((case::read(folder, name)?, Forms::parse(forms)));
    }
    let waiting: Vec<Waiting> = groups.iter().flat_map(|(cases, forms)| cases.iter().map(move |case| (case, forms))).collect();
    Ok(shared(&waiting, threads, |(case, forms), found| judge(case, forms, device, may_refuse, found)))
}

fn judge(case: &Case, forms: &Forms, device: &dyn Device, may_refuse: bool, found: &mut Found) {
    found.cases += 1;
    let asked = match Asked::new(case, forms) {
        Ok(asked) => asked,
        Err(why) => return found.wrong.push(format!("{}: {why}", case.id)),
    };
    match asked.on(device) {
        Ok(all) => all.into_iter().for_each(|(path, far)| found.take(&case.op, || format!("{} {path}", case.id), &far)),
        Err(RunError::Spec(fault)) if may_refuse => found.notes.push(fault.message.clone()),
        Err(why) => found.wrong.push(format!("{}: it cannot be run: {why}", case.id)),
    }
}

struct Alone;

impl Loader for Alone {
    fn load(&self, _: &str, _: &str) -> Result<(String, String), LoadError> {
        Err(LoadError::Outside)
    }
}

/// Elaborates `wanted` of a text that reads no other files, for a batch, where models train or not. Errors: the first fault, or what is
/// not executed yet, with the text.
pub fn compiled(text: &str, wanted: Vec<String>, training: bool, batch: usize) -> Result<Spec, String> {
    let overrides = Overrides { wanted, training, batch: Some(batch), ..Overrides::default() };
    let checked = segc_lang::compile("case.seg", text, &Alone, &overrides);
    if let Some(fault) = checked.faults.iter().find(|fault| fault.severity == Severity::Error) {
        let places: Vec<_> = fault.labels.iter().map(|(_, words)| words.as_str()).collect();
        return Err(format!("error[{}]: {} ({})\n{text}", fault.code, fault.message, places.join("; ")));
    }
    let spec = checked.spec.ok_or("there is no spec")?;
    match spec.pending.first() {
        Some(pending) => Err(format!("{} cannot be executed yet\n{text}", pending.what)),
        None => Ok(spec),
    }
}
