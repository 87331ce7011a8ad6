//! Words, numbers, strings and marks of a text, comments included. What cuts a file into items and what formats it read these;
//! the grammar proper reads the text itself.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A name or a reserved word.
    Word,
    /// `0.15`, `60k`.
    Number,
    /// A string with its quotes.
    Text,
    /// A string whose line ends before it does.
    OpenText,
    /// Brackets, operators and other marks.
    Mark,
    /// `// ..`
    Comment,
    /// `/// ..`
    Doc,
    /// `//! ..`
    Head,
    /// A character that the language does not have.
    Strange,
}

/// A token: bytes `start..end` of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// How many line ends stand between the token before and this one.
    pub lines: u32,
}

impl Token {
    /// Its text.
    pub fn text<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start..self.end]
    }

    /// Whether it is a comment of any kind.
    pub fn is_comment(&self) -> bool {
        matches!(self.kind, TokenKind::Comment | TokenKind::Doc | TokenKind::Head)
    }
}

/// Marks of two characters.
const DOUBLE: [&str; 8] = ["|>", "->", "..", "::", "==", "!=", "<=", ">="];
/// Marks of one character.
const SINGLE: &str = "()[]{}+-*/^=<>:,.~|";

/// All tokens of a text in order; nothing but white space lies between them.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut all = Vec::with_capacity(text.len() / 4);
    let mut at = 0;
    let mut lines = 0;
    while let Some(c) = text[at..].chars().next() {
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            lines += u32::from(c == '\n');
            at += 1;
            continue;
        }
        let (kind, length) = first(&text[at..], c);
        all.push(Token { kind, start: at, end: at + length, lines });
        lines = 0;
        at += length;
    }
    all
}

/// The kind and length in bytes of the token that `rest`, which begins with `c`, begins with.
fn first(rest: &str, c: char) -> (TokenKind, usize) {
    if rest.starts_with("//") {
        let kind = match rest.as_bytes().get(2..4) {
            Some([b'!', _]) => TokenKind::Head,
            Some([b'/', third]) if *third != b'/' => TokenKind::Doc,
            _ => short_comment(rest),
        };
        return (kind, rest[..rest.find('\n').unwrap_or(rest.len())].trim_end().len());
    }
    if c == '"' {
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        return match line[1..].find('"') {
            Some(close) => (TokenKind::Text, close + 2),
            None => (TokenKind::OpenText, line.trim_end().len()),
        };
    }
    if c.is_ascii_alphabetic() || c == '_' {
        return (TokenKind::Word, word(rest));
    }
    if c.is_ascii_digit() {
        return (TokenKind::Number, number(rest));
    }
    if DOUBLE.iter().any(|mark| rest.starts_with(mark)) {
        return (TokenKind::Mark, 2);
    }
    if SINGLE.contains(c) { (TokenKind::Mark, 1) } else { (TokenKind::Strange, c.len_utf8()) }
}

/// The kind of a comment that ends right after its mark.
fn short_comment(rest: &str) -> TokenKind {
    match rest {
        "//!" => TokenKind::Head,
        "///" => TokenKind::Doc,
        _ => TokenKind::Comment,
    }
}

/// Length of the letters, digits and underscores at the start.
fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
}

/// Length of the number at the start, with any letters that stick to it.
fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if let (Some(b'e'), Some(b'-' | b'+')) = (bytes.get(end), bytes.get(end + 1))
        && digits(end + 2) > 0
    {
        end += 2 + digits(end + 2);
    }
    end + word(&rest[end..])
}
