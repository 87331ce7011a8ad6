//! Cuts a file into pieces of one item each, before any grammar sees them: brackets are matched, depth is measured, and items that
//! begin inside an unclosed bracket are found by their reserved words. A piece whose brackets do not match is not parsed further.

use super::lex::{Token, TokenKind};
use super::words::{ITEMS, STATEMENTS, continues, is_reserved};
use crate::fault::Fault;
use crate::source::{SourceId, Span};

/// Brackets that may lie in each other.
pub const DEEPEST: usize = 64;
/// Operators, brackets and fields that may follow each other in one expression.
const LONGEST: usize = 256;
/// Faults about brackets and strings that one file may have; further ones teach nothing.
const MOST_FAULTS: usize = 50;

/// The bytes `start..end` of one item with its documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Whether a fault about its brackets or strings is reported already.
    pub broken: bool,
}

/// Cuts the tokens (comments included, head and edition left out) into pieces, with the faults found on the way.
pub fn cut(text: &str, source: SourceId, tokens: &[Token]) -> (Vec<Piece>, Vec<Fault>) {
    let mut plain = Cutter::new(text, source, tokens, false);
    plain.run();
    if plain.faults.is_empty() {
        return (plain.pieces, plain.faults);
    }
    let mut by_indent = Cutter::new(text, source, tokens, true);
    by_indent.run();
    (by_indent.pieces, by_indent.faults)
}

/// An open bracket.
struct Open {
    token: Token,
    /// Operators since the last comma or statement inside it.
    chain: usize,
}

struct Cutter<'a> {
    text: &'a str,
    source: SourceId,
    tokens: &'a [Token],
    /// Whether a `}` at the start of a line belongs to the `{` of the line with the same indent.
    by_indent: bool,
    open: Vec<Open>,
    chain: usize,
    pieces: Vec<Piece>,
    faults: Vec<Fault>,
    /// Where the documentation before the next item begins.
    docs: Option<usize>,
    too_deep: bool,
    /// Whether brackets are not counted until the next item, because they are too deep.
    skipping: bool,
}

impl<'a> Cutter<'a> {
    fn new(text: &'a str, source: SourceId, tokens: &'a [Token], by_indent: bool) -> Self {
        let (open, pieces, faults) = (Vec::new(), Vec::new(), Vec::new());
        Cutter { text, source, tokens, by_indent, open, chain: 0, pieces, faults, docs: None, too_deep: false, skipping: false }
    }

    fn run(&mut self) {
        let real: Vec<Token> = self.tokens.iter().filter(|t| !matches!(t.kind, TokenKind::Comment | TokenKind::Head)).copied().collect();
        for at in 0..real.len() {
            let token = real[at];
            if token.kind == TokenKind::Doc {
                if self.open.is_empty() {
                    self.docs.get_or_insert(token.start);
                }
                continue;
            }
            let first = token.lines > 0 || at == 0 || real[at - 1].kind == TokenKind::Doc;
            let before = real[..at].iter().rev().find(|t| t.kind != TokenKind::Doc).map_or("", |t| t.text(self.text));
            let after = &real[at + 1..];
            if token.kind == TokenKind::Word {
                self.word(token, first, before, after);
            }
            self.extend(token);
            self.bracket(token, first);
            self.measure(token);
        }
        self.close_all(None);
        if let (Some(start), Some(last)) = (self.docs, real.last()) {
            self.pieces.push(Piece { start, end: last.end, broken: false });
        }
    }

    /// Begins a piece at an item word, and closes what is still open before it.
    fn word(&mut self, token: Token, first: bool, before: &str, after: &[Token]) {
        let word = token.text(self.text);
        let item = ITEMS.contains(&word);
        let leads = after.first().is_some_and(|t| matches!(t.kind, TokenKind::Word | TokenKind::Text));
        if self.skipping {
            self.skipping = !(item && first && leads && word != "output");
        }
        if !self.open.is_empty() {
            let both = matches!(word, "let" | "draw" | "output");
            if item && !both && first && leads && !matches!(before, "." | ":") && !modified(before, word) {
                self.close_all(Some(token));
            } else if first && leads && (both && word != "output" || STATEMENTS.contains(&word)) && !matches!(before, "." | ":") {
                self.close_round(token);
            }
        }
        if self.open.is_empty() && !self.skipping && begins(self.text, word, first, before, after) {
            self.begin(self.docs.unwrap_or(token.start));
        }
    }

    fn begin(&mut self, start: usize) {
        self.pieces.push(Piece { start, end: start, broken: false });
        self.docs = None;
        self.chain = 0;
        self.too_deep = false;
    }

    /// Counts the token to the present piece.
    fn extend(&mut self, token: Token) {
        if self.pieces.is_empty() || self.docs.is_some() && self.open.is_empty() {
            self.begin(self.docs.unwrap_or(token.start));
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.end = token.end;
        }
    }

    fn bracket(&mut self, token: Token, first: bool) {
        if self.skipping {
            return;
        }
        match token.text(self.text) {
            "(" | "[" | "{" => {
                self.open.push(Open { token, chain: 0 });
                if self.open.len() > DEEPEST {
                    self.deep(token, format!("brackets lie in each other more than {DEEPEST} deep"));
                    self.open.clear();
                    self.skipping = true;
                }
            }
            close @ (")" | "]" | "}") => self.close(close, token, first),
            _ if token.kind == TokenKind::OpenText => {
                let fault = Fault::error("unclosed", "a string has no closing quote", self.span(token), "the string begins here")
                    .help("a string ends with `\"` on the line where it begins");
                self.fault(fault);
            }
            _ => {}
        }
    }

    fn close(&mut self, close: &str, token: Token, first: bool) {
        let wanted = match close {
            ")" => "(",
            "]" => "[",
            _ => "{",
        };
        if self.by_indent && first && close == "}" {
            let indent = self.indent(token);
            let line = |open: &Open| self.indent(open.token);
            let twin = self.open.iter().rposition(|open| open.token.text(self.text) == "{" && line(open) == indent);
            if let Some(twin) = twin {
                self.unclosed_above(twin, token);
            }
        }
        match self.open.iter().rposition(|open| open.token.text(self.text) == wanted) {
            Some(twin) => {
                self.unclosed_above(twin, token);
                self.open.pop();
                self.chain_mut(|chain| *chain + 1);
            }
            None => {
                let fault = Fault::error("unopened", format!("`{close}` closes nothing"), self.span(token), "nothing is open here")
                    .help(format!("remove it, or write the missing `{wanted}`"));
                self.fault(fault);
            }
        }
    }

    /// Reports and drops the brackets opened after number `twin`; `token` shows that they are not closed.
    fn unclosed_above(&mut self, twin: usize, token: Token) {
        while self.open.len() > twin + 1 {
            let Some(open) = self.open.pop() else { return };
            self.unclosed(open.token, Some(token));
        }
    }

    /// Reports and drops the round and square brackets on top: a statement cannot stand in them.
    fn close_round(&mut self, token: Token) {
        while self.open.last().is_some_and(|open| open.token.text(self.text) != "{") {
            let Some(open) = self.open.pop() else { return };
            self.unclosed(open.token, Some(token));
        }
    }

    /// Reports the innermost open bracket and drops all.
    fn close_all(&mut self, token: Option<Token>) {
        let all = std::mem::take(&mut self.open);
        if let Some(open) = all.last() {
            self.unclosed(open.token, token);
        }
    }

    fn unclosed(&mut self, open: Token, found: Option<Token>) {
        let line_end = self.text[open.start..].find('\n').map_or(self.text.len(), |n| open.start + n);
        let string_on_line = |t: &Token| t.kind == TokenKind::OpenText && t.start > open.start && t.start < line_end;
        if self.too_deep || self.faults.len() >= MOST_FAULTS || self.tokens.iter().any(string_on_line) {
            return;
        }
        let mark = open.text(self.text);
        let pair = match mark {
            "(" => ")",
            "[" => "]",
            _ => "}",
        };
        let mut fault = Fault::error("unclosed", format!("`{mark}` is never closed"), self.span(open), "opened here");
        fault = match found {
            Some(token) => {
                let word = token.text(self.text);
                let label = if matches!(word, "}" | ")" | "]") {
                    format!("`{word}` comes first")
                } else {
                    format!("`{word}` begins something new")
                };
                fault.also(self.span(token), label).help(format!("write `{pair}` before it"))
            }
            None => fault.help(format!("write `{pair}` before the end of the file")),
        };
        self.fault(fault);
    }

    /// Keeps expressions short enough for every later stage to walk them.
    fn measure(&mut self, token: Token) {
        match token.text(self.text) {
            "," | "=" | ":" | "~" => self.chain_mut(|_| 0),
            "+" | "-" | "*" | "/" | "^" | "|>" | "." | "if" | "and" | "or" | "not" => self.chain_mut(|chain| *chain + 1),
            word if token.kind == TokenKind::Text || ITEMS.contains(&word) || STATEMENTS.contains(&word) => self.chain_mut(|_| 0),
            _ => {}
        }
        let top = self.open.last().map_or(self.chain, |open| open.chain);
        if top > LONGEST / 4 && self.chain + self.open.iter().map(|open| open.chain).sum::<usize>() > LONGEST {
            self.deep(token, format!("this expression has more than {LONGEST} parts"));
        }
    }

    fn chain_mut(&mut self, change: impl Fn(&usize) -> usize) {
        let chain = self.open.last_mut().map_or(&mut self.chain, |open| &mut open.chain);
        *chain = change(chain);
    }

    fn deep(&mut self, token: Token, message: String) {
        if !self.too_deep {
            let fault = Fault::error("too-deep", message, self.span(token), "here").help("give parts of it names of their own with `let`");
            self.fault(fault);
            self.too_deep = true;
        }
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.broken = true;
        }
    }

    /// White space before the first token of the token's line.
    fn indent(&self, token: Token) -> usize {
        let start = self.text[..token.start].rfind('\n').map_or(0, |n| n + 1);
        self.text[start..].len() - self.text[start..].trim_start_matches([' ', '\t']).len()
    }

    fn span(&self, token: Token) -> Span {
        Span { source: self.source, start: token.start as u32, end: token.end as u32 }
    }
}

/// Whether the word before belongs to the item that the word begins: `frozen model`, `builtin host fn`.
fn modified(before: &str, word: &str) -> bool {
    matches!((before, word), ("frozen", "model") | ("builtin", "fn" | "host") | ("host", "fn"))
}

/// Whether the word begins an item, outside all brackets.
fn begins(text: &str, word: &str, first: bool, before: &str, after: &[Token]) -> bool {
    if modified(before, word) || !first && matches!(before, "." | "::") {
        return false;
    }
    let kind = after.first().map(|t| t.kind);
    let next = after.first().map_or("", |t| t.text(text));
    let inside = !first && (matches!(before, ":" | "->" | "=" | "|" | ",") || ITEMS.contains(&before) || STATEMENTS.contains(&before));
    match word {
        "names" => first && !after.get(1).is_some_and(|t| matches!(t.text(text), "::" | ".")),
        "output" => first && kind == Some(TokenKind::Word) && !continues(next),
        _ if ITEMS.contains(&word) => !inside,
        _ if !first => false,
        _ if is_reserved(word) => STATEMENTS.contains(&word) || word == "finally",
        _ if continues(word) => false,
        // A misspelt item word, or a meaning without its word.
        _ => match kind {
            Some(TokenKind::Word) => !is_reserved(next) && !continues(next) && !matches!(before, "=" | "," | "+" | "-" | "*" | "/"),
            Some(TokenKind::Text) => true,
            _ => next == "=" && !matches!(before, "," | "with"),
        },
    }
}
