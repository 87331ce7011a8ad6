//! One page for every fault: what it means, why it is one, a wrong and a right example. The examples are tests.

use crate::nearest::suggestion;

macro_rules! pages {
    ($($code:literal),* $(,)?) => { &[$(($code, include_str!(concat!("pages/", $code, ".md")))),*] };
}

/// The pages by code, in alphabetical order.
const PAGES: &[(&str, &str)] = pages![
    "ambiguous-variants",
    "axis-mismatch",
    "bad-size",
    "cyclic-definition",
    "cyclic-use",
    "duplicate-argument",
    "duplicate-name",
    "empty-mask",
    "empty-scene",
    "formal-is-axis",
    "frozen-update",
    "gradient-stops",
    "host-in-step",
    "idle-perturbation",
    "independence",
    "internal",
    "label-leak",
    "lonely-size",
    "misplaced",
    "misshapen-tensor",
    "missing-argument",
    "missing-body",
    "missing-module",
    "missing-tensor",
    "missing-unit",
    "next-without-state",
    "no-thread",
    "not-a-scalar",
    "not-callable",
    "not-executable-yet",
    "not-finite",
    "one-forward",
    "other-data",
    "out-of-range",
    "outside-package",
    "overlapping-cases",
    "private-name",
    "reserved-name",
    "shadowed-name",
    "shared-generator",
    "size-mismatch",
    "syntax",
    "too-deep",
    "too-large",
    "too-many-arguments",
    "two-rules",
    "unclosed",
    "uncut-photographs",
    "unknown-argument",
    "unknown-axis",
    "unknown-choice",
    "unknown-field",
    "unknown-keyword",
    "unknown-layer",
    "unknown-member",
    "unknown-module",
    "unknown-name",
    "unknown-param",
    "unknown-part",
    "unknown-replacement",
    "unknown-type",
    "unknown-variant",
    "unnamed-net",
    "unnamed-weight",
    "unopened",
    "unperturbed-critic",
    "unreached-state",
    "unreached-weight",
    "unreadable",
    "unrecovered-draw",
    "untyped-formal",
    "unusable-weights",
    "unused-param",
    "weight-in-function",
    "wrong-arguments",
    "wrong-kind",
    "wrong-param-value",
    "wrong-time",
];

/// The codes of warnings: what a spec may `accept`.
pub const WARNINGS: [&str; 10] = [
    "empty-mask",
    "idle-perturbation",
    "one-forward",
    "shared-generator",
    "uncut-photographs",
    "unperturbed-critic",
    "unreached-state",
    "unreached-weight",
    "unrecovered-draw",
    "unused-param",
];

/// The page of a code, as markdown.
pub fn explain(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| *known == code).map(|(_, page)| *page)
}

/// All codes that have a page.
pub fn codes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(code, _)| *code)
}

/// What to say to somebody who asks for a code that does not exist.
pub fn advice(code: &str) -> Option<String> {
    suggestion(code, codes())
}

#[cfg(test)]
mod tests;
