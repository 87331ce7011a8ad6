//! Functions and nets of the library are announced by their names and parsed when something reads them: most are never called.

use std::sync::Arc;

use super::comment_text;
use super::lex::{self, Token, TokenKind};
use super::pieces::Piece;
use super::tree::Tree;
use crate::source::{SourceId, Span};
use crate::syntax::{Item, Name};

/// The item of a piece that is a function or net, unparsed.
pub fn announced(text: &Arc<str>, source: SourceId, tokens: &[Token], piece: Piece) -> Option<Item> {
    let at = |place: usize| tokens.partition_point(|token| token.start < place);
    let own = &tokens[at(piece.start)..at(piece.end)];
    let span = |start: usize, end: usize| Span { source, start: start as u32, end: end as u32 };
    let mut words = own.iter().filter(|token| !token.is_comment());
    let first = words.next().filter(|word| matches!(word.text(text), "fn" | "net" | "builtin"))?;
    let name = words.find(|word| !matches!(word.text(text), "fn" | "host"))?;
    let docs = own.iter().take_while(|token| token.start < first.start).filter(|token| token.kind == TokenKind::Doc);
    let docs = docs.map(|token| comment_text(token.text(text))).collect();
    let name = Name { text: name.text(text).to_owned(), span: span(name.start, name.end) };
    let text = text.clone();
    Some(Item::later(docs, span(first.start, piece.end), name, move || parsed(&text, source, piece)))
}

/// A piece parsed by itself.
fn parsed(text: &str, source: SourceId, piece: Piece) -> Item {
    let mut tokens = lex::tokens(&text[piece.start..piece.end]);
    for token in &mut tokens {
        token.start += piece.start;
        token.end += piece.start;
    }
    Tree::new(text, source, &tokens).piece(piece)
}
