//! `segc check`: every fault of some specs, and nothing run.

use std::path::Path;

use segc_lang::compile;
use segc_lang::fault::{Fault, Severity};
use segc_lang::params::Overrides;
use segc_lang::render::{FaultJson, render, to_json};
use segc_lang::source::Sources;
use segc_lang::spec::Spec;

use crate::cli::{self, Check, Format};
use crate::commands::cost::{self, Costs};
use crate::commands::specs;
use crate::compiled::{Moments, failed_at, misused};
use crate::console::{self, Exit};
use crate::loader::{self, Files, Refusal};

/// Checks the specs.
pub fn check(args: &Check) -> Exit {
    let (named, variants) = match cli::split(&args.words) {
        Ok(split) => split,
        Err(why) => return misused(&why),
    };
    let specs = specs(&named);
    if specs.is_empty() {
        return misused(if named.is_empty() { "no spec is named" } else { "there is no spec (.seg) in that folder" });
    }
    let overrides = Overrides { variants, sets: args.sets.clone(), ..Overrides::default() };
    let mut found = Found::default();
    for path in &specs {
        found.add(path, &overrides, args);
    }
    match args.format {
        Format::Human => console::out(&found.summary(specs.len())),
        Format::Json => console::out(&found.json()),
    }
    found.exit()
}

/// What was found in all specs.
#[derive(Default)]
struct Found {
    errors: usize,
    warnings: usize,
    /// Names that are no files.
    misnamed: bool,
    faults: Vec<FaultJson>,
    /// Warnings that specs accept, with their reasons.
    accepted: Vec<serde_json::Value>,
    /// What runs take, where it was asked for.
    costs: Vec<Costs>,
    /// Why costs are not known.
    failed: Option<Exit>,
}

impl Found {
    fn add(&mut self, path: &Path, overrides: &Overrides, args: &Check) {
        let format = args.format;
        let text = match loader::open(path) {
            Ok(text) => text,
            Err(refusal) => {
                self.misnamed |= matches!(refusal, Refusal::NoFile(_));
                return self.fault(refusal.fault(), &Sources::default(), format);
            }
        };
        let checked = compile(&path.display().to_string(), &text, &Files::beside(path), overrides);
        checked.faults.iter().for_each(|fault| self.fault(fault, &checked.modules.sources, format));
        checked.accepted.iter().for_each(|(fault, reason)| self.accept(fault, reason, format));
        let faulty = checked.faults.iter().any(|fault| fault.severity == Severity::Error);
        if let Some(end) = checked.spec.as_ref().filter(|_| args.cost && !faulty) {
            self.cost(path, end, &Moments { checked: &checked, overrides: overrides.clone() }, format);
        }
        // Freeing takes some milliseconds, for which nobody should wait.
        std::thread::spawn(move || drop(checked));
    }

    fn cost(&mut self, path: &Path, end: &Spec, moments: &Moments, format: Format) {
        match (cost::count(&path.display().to_string(), end, moments), format) {
            (Ok(costs), Format::Human) => console::out(&format!("{}\n", costs.text())),
            (Ok(costs), Format::Json) => self.costs.push(costs),
            (Err(error), _) => self.failed = Some(failed_at(error, &moments.checked.modules.sources)),
        }
    }

    fn fault(&mut self, fault: &Fault, sources: &Sources, format: Format) {
        match fault.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        match format {
            Format::Human => console::out(&format!("{}\n", render(fault, sources, console::color_on_stdout()))),
            Format::Json => self.faults.push(to_json(fault, sources)),
        }
    }

    /// A warning that the spec makes on purpose.
    fn accept(&mut self, fault: &Fault, reason: &str, format: Format) {
        match format {
            Format::Human => console::out(&format!("accepted[{}]: {}\n  because: {reason}\n\n", fault.code, fault.message)),
            Format::Json => {
                self.accepted.push(serde_json::json!({ "code": fault.code, "message": fault.message, "reason": reason }));
            }
        }
    }

    fn summary(&self, specs: usize) -> String {
        let specs = console::count(specs, "spec");
        if self.errors + self.warnings == 0 {
            return format!("{specs} checked, no faults\n");
        }
        format!("{specs} checked: {}, {}\n", console::count(self.errors, "error"), console::count(self.warnings, "warning"))
    }

    fn json(&self) -> String {
        let (errors, warnings) = (self.errors, self.warnings);
        let mut report = serde_json::json!({ "errors": errors, "warnings": warnings, "faults": self.faults, "accepted": self.accepted });
        if !self.costs.is_empty() {
            report["costs"] = serde_json::json!(self.costs);
        }
        format!("{report:#}\n")
    }

    fn exit(&self) -> Exit {
        match (self.misnamed, self.errors) {
            (true, _) => Exit::Usage,
            (false, 0) => self.failed.unwrap_or(Exit::Done),
            (false, _) => Exit::Faults,
        }
    }
}
