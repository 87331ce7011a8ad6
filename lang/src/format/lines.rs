//! The lines of a text as tokens with the least space before each.

use crate::parse::lex::{Token, TokenKind, tokens};
use crate::parse::words::is_reserved;
use std::collections::BTreeSet;

/// A token in a line.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The token.
    pub token: Token,
    /// Its column in the author's text, characters.
    pub original: usize,
    /// Spaces before it in the author's text.
    pub gap: usize,
    /// Spaces that it needs before it.
    pub least: usize,
    /// Further spaces that put it into its column.
    pub pad: usize,
    /// Its length in characters.
    pub width: usize,
    /// Its column in the layout.
    pub column: usize,
}

impl Cell {
    /// The column behind it.
    pub fn end(&self) -> usize {
        self.column + self.width
    }
}

/// A line that is not empty.
#[derive(Clone, Debug)]
pub struct Line {
    /// Whether an empty line stands before it.
    pub blank_before: bool,
    /// Its tokens, at least one.
    pub cells: Vec<Cell>,
}

/// All lines of a text. `starts` are the first bytes of items and statements.
pub fn lines(text: &str, starts: &BTreeSet<usize>) -> Vec<Line> {
    let all = tokens(text);
    let mut lines: Vec<Line> = Vec::new();
    let mut begin = 0;
    for (number, &token) in all.iter().enumerate() {
        let first = token.lines > 0 || number == 0;
        if first {
            begin = text[..token.start].rfind('\n').map_or(0, |at| at + 1);
            lines.push(Line { blank_before: token.lines > 1, cells: Vec::new() });
        }
        let before = if number == 0 { 0 } else { all[number - 1].end };
        let least = if first { 0 } else { space(text, &all, number, starts) };
        let (original, width) = (text[begin..token.start].chars().count(), token.text(text).chars().count());
        let cell = Cell { token, original, gap: token.start - before, least, pad: 0, width, column: original };
        if let Some(line) = lines.last_mut() {
            line.cells.push(cell);
        }
    }
    lines
}

/// Spaces that must stand between a token and the one before it in its line.
fn space(text: &str, all: &[Token], number: usize, starts: &BTreeSet<usize>) -> usize {
    let (before, token) = (all[number - 1], all[number]);
    let (last, next) = (before.text(text), token.text(text));
    if token.is_comment() {
        return 2;
    }
    if (starts.contains(&token.start) || next == "return") && !matches!(last, "{" | ",") && number > 1 {
        return 3;
    }
    let ended = matches!(before.kind, TokenKind::Number | TokenKind::Text) || matches!(last, ")" | "]" | "}");
    if token.kind == TokenKind::Text && (ended || before.kind == TokenKind::Word && !is_reserved(last)) {
        return 2;
    }
    let touching = before.end == token.start;
    let word = matches!(before.kind, TokenKind::Word) && (!is_reserved(last) || field(text, all, number - 1));
    let accepts = number > 1 && all[number - 2].text(text) == "accept";
    let header = number > 1 && matches!(all[number - 2].text(text), "fn" | "net");
    match (last, next) {
        ("{", "}") | ("(" | "[", _) | (_, ")" | "]" | ",") => 0,
        ("." | ".." | "::" | "^", _) | (_, "." | "::" | "^") => 0,
        (_, "..") if !matches!(last, "," | ":") => 0,
        (_, ":") => usize::from(before.kind == TokenKind::Text && !accepts),
        ("-", _) if unary(text, all, number - 1) => 0,
        ("/", _) | (_, "/") if fraction(text, all, number) => 0,
        (_, "(") if header || last == ")" => 0,
        (_, "(" | "[") => usize::from(!touching || !(word || matches!(last, ")" | "]" | "fn" | "net"))),
        _ => 1,
    }
}

/// Whether the word at `number` stands behind a point, where any word is a name.
fn field(text: &str, all: &[Token], number: usize) -> bool {
    number > 0 && all[number - 1].text(text) == "."
}

/// Whether the minus at `number` has no left operand.
fn unary(text: &str, all: &[Token], number: usize) -> bool {
    let Some(before) = number.checked_sub(1).map(|n| all[n]) else { return true };
    let word = before.text(text);
    match before.kind {
        TokenKind::Word => !field(text, all, number - 1) && (is_reserved(word) && !matches!(word, "steps" | "samples" | "epochs")),
        TokenKind::Number | TokenKind::Text => false,
        _ => !matches!(word, ")" | "]" | "}"),
    }
}

/// Whether the token or the one before it is the line of a fraction of two numbers, such as `9/8`.
fn fraction(text: &str, all: &[Token], number: usize) -> bool {
    let at = if all[number].text(text) == "/" { number } else { number - 1 };
    let is_number = |n: usize| all.get(n).is_some_and(|token| token.kind == TokenKind::Number && (n <= at || token.lines == 0));
    let before = at.checked_sub(2).map_or("", |n| all[n].text(text));
    let after = all.get(at + 2).map_or("", |token| token.text(text));
    at > 0 && is_number(at - 1) && is_number(at + 1) && !matches!(before, "^" | "/") && !matches!(after, "^" | "/")
}
