//! `segc check`: every fault of some specs, and nothing run.

use std::path::Path;

use segc_lang::compile;
use segc_lang::fault::{Fault, Severity};
use segc_lang::params::Overrides;
use segc_lang::render::{FaultJson, render, to_json};
use segc_lang::source::Sources;

use crate::cli::{self, Check, Format};
use crate::commands::specs;
use crate::compiled::misused;
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
        found.add(path, &overrides, args.format);
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
}

impl Found {
    fn add(&mut self, path: &Path, overrides: &Overrides, format: Format) {
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
        let report = serde_json::json!({ "errors": errors, "warnings": warnings, "faults": self.faults, "accepted": self.accepted });
        format!("{report:#}\n")
    }

    fn exit(&self) -> Exit {
        match (self.misnamed, self.errors) {
            (true, _) => Exit::Usage,
            (false, 0) => Exit::Done,
            (false, _) => Exit::Faults,
        }
    }
}
