//! The first column of every line.

use super::lines::{Cell, Line};
use crate::parse::lex::Token;
use std::collections::BTreeSet;

/// Spaces of one level.
const STEP: usize = 4;

/// An open bracket.
struct Open {
    /// Whether statements stand in it.
    block: bool,
    /// Where a line inside it begins.
    inside: usize,
    /// Where a line that begins with its closing bracket begins.
    close: usize,
}

/// Walks over the lines and remembers what is open.
struct Walk<'a> {
    text: &'a str,
    open: Vec<Open>,
    /// The indent of the present item or statement.
    statement: usize,
    /// The end of its `=`, `~`, `:` or `return`, from which its value hangs.
    anchor: Option<usize>,
    /// Its first word.
    word: &'a str,
}

/// Gives every line its indent and every token the column that follows from its own spaces.
pub fn indent(text: &str, lines: &mut [Line], starts: &BTreeSet<usize>) {
    let mut walk = Walk { text, open: Vec::new(), statement: 0, anchor: None, word: "" };
    let firsts: Vec<Token> = lines.iter().map(|line| line.cells[0].token).collect();
    for (number, line) in lines.iter_mut().enumerate() {
        // A comment belongs to what follows it.
        let follows = firsts[number..].iter().find(|token| !token.is_comment()).copied();
        let column = walk.first(firsts[number], follows, starts);
        line.cells[0].column = column;
        for at in 0..line.cells.len() {
            if at > 0 {
                line.cells[at].column = line.cells[at - 1].end() + line.cells[at].least + line.cells[at].pad;
            }
            let before = if at > 0 { Some(line.cells[at - 1]) } else { None };
            walk.token(line.cells[at], before, line.cells.get(at + 1).copied(), column, starts);
        }
    }
}

impl<'a> Walk<'a> {
    /// The column of the first token of a line.
    fn first(&self, token: Token, follows: Option<Token>, starts: &BTreeSet<usize>) -> usize {
        let word = token.text(self.text);
        if matches!(word, ")" | "]" | "}") {
            return self.open.last().map_or(0, |open| open.close);
        }
        let top = self.open.last().is_none_or(|open| open.block);
        let level = self.open.last().map_or(0, |open| open.inside);
        let begins = |token: Token| starts.contains(&token.start) || matches!(token.text(self.text), "return" | "}");
        let new = if token.is_comment() { follows.is_none_or(begins) } else { begins(token) };
        if !top || new {
            return level;
        }
        match self.anchor {
            Some(end) if operator(word) => (end.max(word.len()) - word.len()).max(self.statement),
            Some(end) => end + 1,
            None => self.statement + STEP,
        }
    }

    /// Takes in one token that stands at its column; `line` is the indent of its line.
    fn token(&mut self, cell: Cell, before: Option<Cell>, after: Option<Cell>, line: usize, starts: &BTreeSet<usize>) {
        let word = cell.token.text(self.text);
        let last_in_line = after.is_none_or(|after| after.token.is_comment());
        let top = self.open.last().is_none_or(|open| open.block);
        if top && (starts.contains(&cell.token.start) || word == "return") {
            self.statement = self.open.last().map_or(0, |open| open.inside);
            self.anchor = None;
            self.word = word;
        }
        match word {
            "(" | "[" | "{" => {
                let block = word == "{" && self.is_block(before);
                let (inside, close) = match after {
                    _ if block => (self.statement + STEP, self.statement),
                    Some(after) if !last_in_line => (cell.end() + after.least, cell.column),
                    _ => (line + STEP, line),
                };
                self.open.push(Open { block, inside, close });
            }
            ")" | "]" | "}" => {
                let block = self.open.pop().is_some_and(|open| open.block);
                self.anchor = self.anchor.filter(|_| !block);
            }
            "=" | "~" | "return" if top && self.anchor.is_none() && self.hangs() => {
                self.anchor = if last_in_line { None } else { Some(cell.end()) };
            }
            ":" if top && self.anchor.is_none() && !last_in_line && self.is_slot() => self.anchor = Some(cell.end()),
            _ => {}
        }
    }

    /// Whether a value hangs from the statement's sign. What has a `with` before its value has none.
    fn hangs(&self) -> bool {
        !matches!(self.word, "train" | "extend" | "eval" | "solve")
    }

    /// Whether the statement begins with a name: a slot.
    fn is_slot(&self) -> bool {
        !crate::parse::words::is_reserved(self.word) && !self.word.starts_with('"')
    }

    /// Whether a `{` behind `before` opens a block rather than a record.
    fn is_block(&self, before: Option<Cell>) -> bool {
        let Some(before) = before else { return false };
        let word = before.token.text(self.text);
        let inside = self.open.last().is_some_and(|open| !open.block);
        let value = matches!(word, "(" | "[" | "{" | "," | ":" | "=" | "->" | "then" | "else" | "return" | "if" | "and" | "or" | "not");
        !(inside || value || operator(word))
    }
}

/// Whether the word stands between two operands.
fn operator(word: &str) -> bool {
    matches!(word, "+" | "-" | "*" | "/" | "|>" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "and" | "or" | "^" | "..")
}
