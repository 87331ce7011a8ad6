//! The `.seg` language: text in, a checked and elaborated [`spec::Spec`] out.
//!
//! `parse` turns a source into a syntax tree and faults, `modules` joins a spec with what it uses, `check` proves names, kinds
//! and params, `elaborate` evaluates everything known at compile time and leaves typed terms with named axes. Nothing here does
//! IO: files come through a [`source::Loader`].

// What pest generates names it, since its `std` feature, which probes the stack at every step, is off: depth is bounded by `parse::pieces`.
extern crate alloc;

pub mod check;
pub mod elaborate;
pub mod explain;
pub mod fault;
pub mod format;
pub mod library;
pub mod modules;
pub mod nearest;
pub mod params;
pub mod parse;
pub mod render;
pub mod source;
pub mod spec;
pub mod syntax;
mod threads;

use fault::{Fault, Severity};
use modules::Modules;
use params::{Moment, Overrides};
use source::Loader;

/// A spec that went through every stage.
#[derive(Debug)]
pub struct Checked {
    /// What was read: the spec, what it uses and extends, the prelude.
    pub modules: Modules,
    /// The elaborated spec; none where faults leave nothing to elaborate.
    pub spec: Option<spec::Spec>,
    /// Everything that was found, the spec's own faults first.
    pub faults: Vec<Fault>,
    /// Warnings that the spec accepts, with its reasons.
    pub accepted: Vec<(Fault, String)>,
}

impl Checked {
    /// Elaborates what was read for other params or another moment. There is a spec where no fault is an error.
    pub fn at(&self, overrides: &Overrides) -> (Option<spec::Spec>, Vec<Fault>) {
        elaborate::elaborate(&self.modules, overrides)
    }
}

/// Reads, checks and elaborates a spec. `name` is shown and is what relative paths are resolved against.
///
/// Faults of all stages and training phases come together; what a later stage says about a place that an earlier one has faulted is
/// left out, and what needs itself is not elaborated.
pub fn compile(name: &str, text: &str, loader: &dyn Loader, overrides: &Overrides) -> Checked {
    let (modules, mut faults) = modules::load(name, text, loader);
    faults.extend(check::check(&modules));
    let endless = faults.iter().any(|fault| fault.code == "cyclic-definition");
    let end = overrides.moment == Moment::End && !overrides.training;
    let (spec, later) = match (endless, end) {
        (true, _) => (None, Vec::new()),
        (false, true) => elaborate::with_phases(&modules, overrides),
        (false, false) => elaborate::elaborate(&modules, overrides),
    };
    let spoiled = faults.iter().any(|fault| fault.severity == Severity::Error);
    let known: Vec<source::Span> = faults.iter().flat_map(|fault| fault.labels.iter().map(|(span, _)| *span)).collect();
    let overlaps = |span: source::Span| known.iter().any(|k| k.source == span.source && k.start < span.end && span.start < k.end);
    let repeats = |fault: &Fault| {
        let place = fault.labels.first().is_some_and(|(span, _)| overlaps(*span));
        place || spoiled && CONSEQUENCES.contains(&fault.code)
    };
    faults.extend(later.into_iter().filter(|fault| !repeats(fault)));
    let accepted = accepted(&modules, &mut faults);
    Checked { modules, spec, faults, accepted }
}

/// Takes the warnings out that the spec, or one that it extends, accepts.
fn accepted(modules: &Modules, faults: &mut Vec<Fault>) -> Vec<(Fault, String)> {
    let items = modules.lineage(modules.root).flat_map(|module| &modules.module(module).file.items);
    let known: Vec<&syntax::Accept> =
        items.filter_map(|item| if let syntax::ItemKind::Accept(accept) = item.kind() { Some(accept) } else { None }).collect();
    let reason = |fault: &Fault| {
        let own = known.iter().find(|accept| accept.code.text == fault.code && fault.severity == Severity::Warning)?;
        Some(own.reason.text.clone())
    };
    let (told, rest): (Vec<Fault>, Vec<Fault>) = std::mem::take(faults).into_iter().partition(|fault| reason(fault).is_some());
    *faults = rest;
    told.into_iter().filter_map(|fault| Some((reason(&fault)?, fault))).map(|(reason, fault)| (fault, reason)).collect()
}

/// What `check` proves of the whole text: in a text with errors, `elaborate` finds these only as their consequences.
const CONSEQUENCES: [&str; 6] = ["unknown-name", "unknown-field", "unknown-axis", "wrong-kind", "wrong-arguments", "unreached-state"];
