//! What `--check-nan` does and says: the op that made numbers which are none, its place in the spec, and what it read.

use segc_lang::fault::{Fault, Severity};
use segc_lang::source::Span;

use crate::execute::{Executable, Finding, Scratch, Statistics};
use crate::outcome::RunError;

/// Runs a program, looked after or not. `at` says where in the run this is: image and step.
pub(crate) fn run(
    program: &dyn Executable,
    inputs: &[&[f32]],
    scratch: &mut Scratch,
    look: bool,
    at: impl Fn() -> String,
) -> Result<(), RunError> {
    if !look {
        return program.run(inputs, scratch).map_err(RunError::Numeric);
    }
    match program.check(inputs, scratch).map_err(RunError::Numeric)? {
        None => Ok(()),
        Some(finding) => Err(RunError::NotFinite(Box::new(fault(&finding, &at())))),
    }
}

fn fault(finding: &Finding, at: &str) -> Fault {
    let made = finding.writes.iter().find(|made| !made.is_finite());
    let (name, place) = finding.ops.first().copied().unwrap_or(("a kernel", None));
    let what = made.map_or_else(String::new, |made| if made.nan > 0 { "NaN".into() } else { "infinity".into() });
    let mut labels: Vec<(Span, String)> = Vec::new();
    if let Some(place) = place {
        labels.push((place, made.map_or_else(|| "here".into(), |made| format!("here: {}", shown(made)))));
    }
    for read in &finding.reads {
        let words = format!("it read {}", shown(read));
        match labels.iter_mut().find(|(place, _)| Some(*place) == read.span) {
            Some((_, label)) => *label = format!("{label}; {words}"),
            None => labels.extend(read.span.map(|span| (span, words))),
        }
    }
    Fault {
        code: "not-finite",
        severity: Severity::Error,
        message: format!("`{name}` made {what} of numbers that were none: {at}"),
        labels,
        help: Some("Keep what is divided by, and what roots and logarithms are taken of, away from 0: add an eps, or `clamp`.".into()),
    }
}

fn shown(value: &Statistics) -> String {
    let sizes: Vec<String> = value.shape.iter().map(ToString::to_string).collect();
    let elements: usize = value.shape.iter().product();
    let mut text = format!("[{}]", sizes.join(", "));
    if value.nan + value.infinite < elements {
        text += &format!(" from {} to {}, mean {:.4}", value.min, value.max, value.mean);
    }
    for (count, what) in [(value.nan, "NaN"), (value.infinite, "infinite")] {
        if count > 0 {
            text += &format!(", {count} of {elements} {what}");
        }
    }
    text
}
