//! Source texts, where they come from, and places in them.

use std::sync::Arc;

/// Number of a source in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// A place in a source: bytes `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The source.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}..{}", self.source.0, self.start, self.end)
    }
}

impl Span {
    /// The smallest span that covers both; they lie in one source.
    pub fn to(self, other: Span) -> Span {
        Span { source: self.source, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A text with a name to show: a path for files, `std::filter` for modules of the library.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name to show and to resolve relative `use` and `extend` against.
    pub name: String,
    /// The text.
    pub text: Arc<str>,
}

/// All sources of one compilation.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a source and gives its number.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        self.0.push(Source { name: name.into(), text: text.into() });
        SourceId(self.0.len() as u32 - 1)
    }

    /// The source with this number.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.0[id.0 as usize]
    }

    /// The text of a span.
    pub fn slice(&self, span: Span) -> &str {
        &self.get(span.source).text[span.start as usize..span.end as usize]
    }

    /// Line and column of a span's start, both counted from one; columns in characters.
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let before = &self.get(span.source).text[..span.start as usize];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}

/// Why a source could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// There is no such file or module; the names that exist beside it.
    Missing(Vec<String>),
    /// The path leaves the folder of the spec that names it.
    Outside,
    /// Anything else, in words.
    Unreadable(String),
}

/// Where modules and extended specs come from. The command line reads files; tests use maps.
pub trait Loader {
    /// The text behind `path` as written in `use "path"` or `extend "path"` of the source named `from`, with its full name.
    fn load(&self, from: &str, path: &str) -> Result<(String, String), LoadError>;
}
