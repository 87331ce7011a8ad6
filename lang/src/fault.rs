//! A fault: what was found, where, and what to do.

use crate::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The spec cannot be run.
    Error,
    /// The spec can be run but is probably not meant so.
    Warning,
}

/// One diagnostic. `code` is its kebab-case name, which `segc explain` knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Kebab-case name, such as `axis-mismatch`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence: what was found.
    pub message: String,
    /// Places with what is there; the first is the main one. Empty only for faults that have no source.
    pub labels: Vec<(Span, String)>,
    /// The next step.
    pub help: Option<String>,
}

impl Fault {
    /// An error at one place.
    pub fn error(code: &'static str, message: impl Into<String>, span: Span, label: impl Into<String>) -> Fault {
        Fault { code, severity: Severity::Error, message: message.into(), labels: vec![(span, label.into())], help: None }
    }

    /// A warning at one place.
    pub fn warning(code: &'static str, message: impl Into<String>, span: Span, label: impl Into<String>) -> Fault {
        Fault { severity: Severity::Warning, ..Fault::error(code, message, span, label) }
    }

    /// The same with another place.
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Fault {
        self.labels.push((span, label.into()));
        self
    }

    /// The same with a next step.
    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }
}
