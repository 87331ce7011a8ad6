//! Text to syntax tree. A fault in one item or statement leaves the others whole.
//!
//! `lex` gives tokens, `pieces` cuts them into items and matches brackets, the pest grammar in `seg.pest` parses each item,
//! `items`, `turns`, `expressions` and `operators` build the tree, `fault` says in words what was expected. Of the library only what
//! is read is parsed (`later`).

mod expressions;
mod fault;
mod items;
mod later;
pub mod lex;
mod operators;
mod pieces;
mod shares;
mod statements;
mod tree;
mod turns;
pub mod words;

#[cfg(test)]
mod tests;

use crate::fault::Fault;
use crate::source::{SourceId, Sources, Span};
use crate::syntax::File;
use lex::{Token, TokenKind};
use tree::Tree;

/// Largest text that is parsed, bytes.
pub const LARGEST: usize = 1_000_000;
/// Faults after which a file is not parsed further.
const MOST_FAULTS: usize = 100;

/// The grammar. Its rules are internal.
#[allow(missing_docs)]
mod grammar {
    /// What pest makes of `seg.pest`.
    #[derive(pest_derive::Parser)]
    #[grammar = "seg.pest"]
    pub struct Grammar;
}

/// The syntax tree of a source and what is wrong with its text. What cannot be parsed is `Broken` in the tree and has a fault.
///
/// Codes: `syntax`, `unknown-keyword`, `unclosed`, `unopened`, `too-deep`, `too-large`, `misplaced`.
pub fn parse(sources: &Sources, id: SourceId) -> (File, Vec<Fault>) {
    let text = &*sources.get(id).text;
    let mut file = empty(id);
    if text.len() > LARGEST {
        let message = format!("a text of {} bytes is no spec: at most {LARGEST} are read", text.len());
        let fault = Fault::error("too-large", message, Span { source: id, start: 0, end: 0 }, "this file");
        return (file, vec![fault.help("give the path of a `.seg` file")]);
    }
    let tokens = lex::tokens(text);
    let body = opening(text, id, &tokens, &mut file);
    let (pieces, mut faults) = pieces::cut(text, id, &tokens[body..]);
    faults.extend(late_heads(id, &tokens[body..]));
    let tree = Tree::new(text, id, &tokens);
    for (piece, (item, found)) in pieces.iter().zip(shares::items(&tree, &pieces)) {
        let whole = faults.len() < MOST_FAULTS;
        file.items.push(if whole { item } else { tree.lost_piece(*piece) });
        faults.extend(found.into_iter().filter(|_| whole));
    }
    faults.sort_by_key(|fault| fault.labels.first().map(|label| label.0.start));
    (file, faults)
}

/// The syntax tree of a text of the library, which has no faults. Its functions and nets are parsed when something reads them.
pub fn parse_library(sources: &Sources, id: SourceId) -> File {
    let text = &sources.get(id).text;
    let mut file = empty(id);
    let tokens = lex::tokens(text);
    let body = opening(text, id, &tokens, &mut file);
    let mut tree = Tree::new(text, id, &tokens);
    for piece in pieces::cut(text, id, &tokens[body..]).0 {
        file.items.push(later::announced(text, id, &tokens, piece).unwrap_or_else(|| tree.piece(piece)));
    }
    file
}

fn empty(source: SourceId) -> File {
    File { source, head: Vec::new(), edition: None, items: Vec::new() }
}

/// Reads the `//!` lines and the edition; gives the number of the first token behind them.
fn opening(text: &str, id: SourceId, tokens: &[Token], file: &mut File) -> usize {
    let mut at = 0;
    while let Some(token) = tokens.get(at).filter(|t| matches!(t.kind, TokenKind::Head | TokenKind::Comment)) {
        if token.kind == TokenKind::Head {
            file.head.push(comment_text(token.text(text)));
        }
        at += 1;
    }
    if let [word, number, ..] = &tokens[at..]
        && word.text(text) == "edition"
        && let Ok(edition) = number.text(text).parse()
    {
        file.edition = Some((edition, Span { source: id, start: word.start as u32, end: number.end as u32 }));
        at += 2;
    }
    at
}

/// Faults for `//!` lines behind the first item.
fn late_heads(id: SourceId, tokens: &[Token]) -> Vec<Fault> {
    let late = tokens.iter().filter(|t| t.kind == TokenKind::Head).take(MOST_FAULTS);
    late.map(|token| {
        let span = Span { source: id, start: token.start as u32, end: token.end as u32 };
        Fault::error("misplaced", "`//!` describes the whole file", span, "but stands behind its beginning")
            .help("write `///` to document the item below, or `//`")
    })
    .collect()
}

/// The text of a `//!` or `///` line.
fn comment_text(line: &str) -> String {
    let text = &line[3..];
    text.strip_prefix(' ').unwrap_or(text).trim_end().to_owned()
}
