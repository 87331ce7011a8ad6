//! Specs that the program carries, for what it measures and tests of itself.

use segc_lang::fault::Severity;
use segc_lang::params::Overrides;
use segc_lang::source::{LoadError, Loader};
use segc_lang::spec::Spec;
use segc_lang::{Checked, compile};

/// `specs/perturbgan.seg`.
pub const PERTURBGAN: &str = include_str!("../specs/perturbgan.seg");
/// `specs/redo.seg`.
pub const REDO: &str = include_str!("../specs/redo.seg");
/// `specs/iem.seg`.
pub const IEM: &str = include_str!("../specs/iem.seg");

/// They read no other files.
pub struct Alone;

impl Loader for Alone {
    fn load(&self, _: &str, _: &str) -> Result<(String, String), LoadError> {
        Err(LoadError::Outside)
    }
}

/// Compiles one. Errors in words.
pub fn compiled(name: &str, text: &str, overrides: &Overrides) -> Result<(Checked, Spec), String> {
    let mut checked = compile(&format!("{name}.seg"), text, &Alone, overrides);
    if let Some(fault) = checked.faults.iter().find(|fault| fault.severity == Severity::Error) {
        return Err(format!("{name}: {}", fault.message));
    }
    let spec = checked.spec.take().ok_or_else(|| format!("{name} means nothing"))?;
    Ok((checked, spec))
}
