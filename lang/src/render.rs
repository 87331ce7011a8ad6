//! Faults as people read them (miette's graphical report) and as programs read them (JSON).

use crate::fault::{Fault, Severity};
use crate::source::{SourceId, Sources, Span};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SpanContents};
use std::fmt;

/// Columns of a report.
const WIDTH: usize = 120;
/// Longest message, label or help, in characters; longer ones lose their middle.
const LONGEST: usize = 600;
/// Longest line of a source that is shown whole, and what is left of a longer one on each side, in bytes.
const LONGEST_LINE: usize = 400;

/// A fault as text, with the lines it is about. `color` is for terminals.
pub fn render(fault: &Fault, sources: &Sources, color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false).with_cause_chain();
    let mut text = String::new();
    let report = Report::new(fault, sources);
    if handler.render_report(&mut text, &report).is_err() {
        text = format!("{}: {}\n", fault.code, fault.message);
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_matches('\n'))
}

/// A fault for programs.
#[derive(Clone, Debug, serde::Serialize)]
pub struct FaultJson {
    /// Kebab-case name.
    pub code: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What was found.
    pub message: String,
    /// The next step.
    pub help: Option<String>,
    /// Where; the first place is the main one.
    pub places: Vec<PlaceJson>,
}

/// A place for programs. Lines and columns count from one, columns in characters; the end is one past the last character.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PlaceJson {
    /// Name of the source.
    pub file: String,
    /// First line.
    pub line: usize,
    /// First column.
    pub column: usize,
    /// Last line.
    pub end_line: usize,
    /// One past the last column.
    pub end_column: usize,
    /// What is there.
    pub label: String,
}

/// The JSON form of a fault.
pub fn to_json(fault: &Fault, sources: &Sources) -> FaultJson {
    let place = |(span, label): &(Span, String)| {
        let (line, column) = sources.line_column(*span);
        let (end_line, end_column) = sources.line_column(Span { start: span.end, ..*span });
        PlaceJson { file: sources.get(span.source).name.clone(), line, column, end_line, end_column, label: label.clone() }
    };
    FaultJson {
        code: fault.code,
        severity: word(fault.severity),
        message: fault.message.clone(),
        help: fault.help.as_deref().map(sentence),
        places: fault.labels.iter().map(place).collect(),
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// The labels of one source. The fault's own head stands on the first of them; the others follow as related places.
#[derive(Debug)]
struct Report {
    head: Option<(Severity, &'static str)>,
    message: String,
    help: Option<String>,
    source: Option<Shown>,
    labels: Vec<LabeledSpan>,
    related: Vec<Report>,
}

impl Report {
    fn new(fault: &Fault, sources: &Sources) -> Report {
        let mut ids: Vec<SourceId> = Vec::new();
        for (span, _) in &fault.labels {
            if !ids.contains(&span.source) {
                ids.push(span.source);
            }
        }
        let mut parts = ids.iter().map(|id| Report::part(*id, fault, sources));
        let empty = Report { head: None, message: String::new(), help: None, source: None, labels: Vec::new(), related: Vec::new() };
        let first = parts.next().unwrap_or(empty);
        Report {
            head: Some((fault.severity, fault.code)),
            message: shorten(&fault.message),
            help: fault.help.as_deref().map(sentence),
            related: parts.collect(),
            ..first
        }
        .with_help_last()
    }

    /// The next step stands behind all places.
    fn with_help_last(mut self) -> Report {
        if let Some(last) = self.related.last_mut() {
            last.help = self.help.take();
        }
        self
    }

    fn part(id: SourceId, fault: &Fault, sources: &Sources) -> Report {
        let source = sources.get(id);
        let mut labels: Vec<LabeledSpan> = Vec::new();
        for (at, (span, text)) in fault.labels.iter().enumerate().filter(|(_, (span, _))| span.source == id) {
            let text = (!text.is_empty()).then(|| shorten(text));
            let (start, length) = extent(&source.text, *span);
            labels.push(match at {
                0 => LabeledSpan::new_primary_with_span(text, (start, length)),
                _ => LabeledSpan::new_with_span(text, (start, length)),
            });
        }
        let shown = Shown { name: source.name.clone(), text: source.text.clone() };
        Report { head: None, message: format!("in {}", source.name), help: None, source: Some(shown), labels, related: Vec::new() }
    }
}

/// Start and length of what is marked; an empty place behind the last word marks the last character.
fn extent(text: &str, span: Span) -> (usize, usize) {
    let (start, end) = (span.start as usize, span.end as usize);
    let last = text.trim_end();
    match last.chars().next_back() {
        Some(character) if start >= last.len() => (last.len() - character.len_utf8(), character.len_utf8()),
        _ => (start, end.saturating_sub(start)),
    }
}

/// A help as a sentence: a capital first, a stop last.
fn sentence(text: &str) -> String {
    let text = shorten(text);
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{stop}", characters.as_str())
}

/// Keeps both ends of a text that is too long to read.
fn shorten(text: &str) -> String {
    let count = text.chars().count();
    if count <= LONGEST {
        return text.to_string();
    }
    let start: String = text.chars().take(LONGEST / 2).collect();
    let end: String = text.chars().skip(count - LONGEST / 2).collect();
    format!("{start} … {end}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.head {
            Some((severity, code)) => write!(f, "{}[{code}]: {}", word(severity), self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.head {
            Some((Severity::Error, _)) => miette::Severity::Error,
            Some((Severity::Warning, _)) => miette::Severity::Warning,
            None => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().cloned()) as Box<dyn Iterator<Item = LabeledSpan>>)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.related.is_empty() {
            return None;
        }
        Some(Box::new(self.related.iter().map(|report| report as &dyn Diagnostic)))
    }
}

/// A named source, of whose very long lines only the neighbourhood of a place is shown.
#[derive(Debug)]
struct Shown {
    name: String,
    text: std::sync::Arc<str>,
}

impl SourceCode for Shown {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let start = span.offset().min(self.text.len());
        let end = (start + span.len()).min(self.text.len());
        if self.longest_line_around(start, end) <= LONGEST_LINE {
            let inner = self.text.as_bytes().read_span(span, before, after)?;
            let (line, column, count) = (inner.line(), inner.column(), inner.line_count());
            return Ok(Box::new(MietteSpanContents::new_named(self.name.clone(), inner.data(), *inner.span(), line, column, count)));
        }
        let from = self.boundary(start.saturating_sub(LONGEST_LINE / 4).max(self.line_start(start)));
        let to = self.boundary((start + LONGEST_LINE / 4).min(self.line_end(start)));
        let line = self.text[..from].matches('\n').count();
        let column = from - self.line_start(from);
        let data = &self.text.as_bytes()[from..to];
        Ok(Box::new(MietteSpanContents::new_named(self.name.clone(), data, (from, to - from).into(), line, column, 1)))
    }
}

impl Shown {
    fn line_start(&self, at: usize) -> usize {
        self.text.as_bytes()[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |found| found + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        self.text.as_bytes()[at..].iter().position(|byte| *byte == b'\n').map_or(self.text.len(), |found| at + found)
    }

    /// Length of the longest line among those of a place and its two neighbours on either side.
    fn longest_line_around(&self, start: usize, end: usize) -> usize {
        let mut from = self.line_start(start);
        let mut to = self.line_end(end);
        for _ in 0..2 {
            from = self.line_start(from.saturating_sub(1));
            to = self.line_end((to + 1).min(self.text.len()));
        }
        self.text.as_bytes()[from..to].split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0)
    }

    fn boundary(&self, mut at: usize) -> usize {
        while !self.text.is_char_boundary(at) {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_files() -> (Sources, Span, Span) {
        let mut sources = Sources::default();
        let a = sources.add("a.seg", "let x = heigth\nlet y = 2\n");
        let b = sources.add("b.seg", "axis height\n");
        (sources, Span { source: a, start: 8, end: 14 }, Span { source: b, start: 5, end: 11 })
    }

    #[test]
    fn places_in_two_files_are_both_shown() {
        let (sources, here, there) = two_files();
        let fault = Fault::error("unknown-axis", "there is no axis `heigth`", here, "this")
            .also(there, "declared here")
            .help("Did you mean `height`?");
        insta::assert_snapshot!(render(&fault, &sources, false));
    }

    #[test]
    fn json_counts_from_one() {
        let (sources, here, _) = two_files();
        let json = to_json(&Fault::warning("unused-param", "m", here, "l"), &sources);
        assert_eq!((json.severity, json.places[0].line, json.places[0].column, json.places[0].end_column), ("warning", 1, 9, 15));
    }

    #[test]
    fn a_line_of_a_megabyte_is_cut() {
        let mut sources = Sources::default();
        let source = sources.add("long.seg", format!("let x = {}\n", "é(".repeat(500_000)));
        let start = 8 + 3 * 1000;
        let fault = Fault::error("too-deep", "too deep", Span { source, start, end: start + 600_000 }, "here");
        let text = render(&fault, &sources, false);
        assert!(text.len() < 4000, "{}", text.len());
    }

    #[test]
    fn a_fault_without_a_place_and_one_at_the_end_render() {
        let (sources, here, _) = two_files();
        let nowhere = Fault { code: "unknown-variant", severity: Severity::Error, message: "m".into(), labels: vec![], help: None };
        assert!(render(&nowhere, &sources, true).contains("unknown-variant"));
        let end = Span { start: 25, end: 25, ..here };
        let text = render(&Fault::error("unclosed", "m", end, "end"), &sources, false);
        assert!(text.contains("a.seg:2:9"), "{text}");
    }
}
