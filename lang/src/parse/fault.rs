//! From pest's farthest failure to words: what was expected, what was found, what to do.

use super::grammar::{Grammar, Rule};
use super::lex::{Token, TokenKind};
use super::tree::Tree;
use super::words::{ITEMS, is_reserved};
use crate::fault::Fault;
use crate::nearest::nearest;
use pest::Parser;
use std::collections::BTreeSet;

/// Marks and words that may go on a complete expression.
const GOING_ON: [&str; 24] = [
    "(", "[", ".", "::", "^", "*", "/", "+", "-", "|>", "..", "==", "!=", "<", "<=", ">", ">=", "and", "or", "steps", "samples", "epochs",
    "e", "M",
];
/// Words that begin an expression and nothing else does.
const BEGINNING: [&str; 6] = ["not", "if", "(", "[", "{", "-"];

/// Where parsing stopped and what could have stood there.
struct Stop {
    at: usize,
    literals: BTreeSet<String>,
    /// Whether a name could have begun.
    name: bool,
}

/// The fault of the bytes `start..end`, which do not fit `rule`. None if they do.
pub fn explain(tree: &Tree, rule: Rule, start: usize, end: usize) -> Option<Fault> {
    let stop = stop(tree, rule, start, end)?;
    let number = tree.tokens.partition_point(|token| token.end <= stop.at);
    let found = tree.tokens.get(number).copied();
    let before = number.checked_sub(1).and_then(|n| tree.tokens.get(n)).copied().filter(|token| token.start >= start);
    let Some(before) = before else { return Some(beginning(tree, rule, found, start)) };
    let expected = expected(&stop);
    Some(inside(tree, &stop, before, found, &expected))
}

/// Parses once more with details.
fn stop(tree: &Tree, rule: Rule, start: usize, end: usize) -> Option<Stop> {
    // A process-wide switch that only makes failing parses say more.
    pest::set_error_detail(true);
    let error = Grammar::parse(rule, &tree.text[start..end]).err()?;
    let rules_at = match error.location {
        pest::error::InputLocation::Pos(at) => at,
        pest::error::InputLocation::Span((at, _)) => at,
    };
    let Some(attempts) = error.parse_attempts() else {
        return Some(Stop { at: start + rules_at, literals: BTreeSet::new(), name: false });
    };
    let passed = tree.text[start + rules_at..start + attempts.max_position.max(rules_at)].trim();
    if is_reserved(passed) {
        return Some(at_reserved(start + rules_at, &error));
    }
    let mut literals = BTreeSet::new();
    let mut letters = false;
    let mut digits = false;
    for token in attempts.expected_tokens() {
        // Literals print as they are, ranges of characters as `a..z`.
        match token.to_string() {
            range if range == "a..z" || range == "A..Z" => letters = true,
            range if range == "0..9" => digits = true,
            literal => {
                literals.insert(literal);
            }
        }
    }
    Some(Stop { at: start + attempts.max_position, literals, name: letters && !digits })
}

/// Where a reserved word stands in the place of a name: pest's rules tell what it was to be, its literals do not.
fn at_reserved(at: usize, error: &pest::error::Error<Rule>) -> Stop {
    let rules = match &error.variant {
        pest::error::ErrorVariant::ParsingError { positives, .. } => positives.as_slice(),
        pest::error::ErrorVariant::CustomError { .. } => &[],
    };
    let value = |found: &Rule| (Rule::expr..=Rule::primary).contains(found);
    let literals: &[&str] = if rules.iter().any(value) {
        &["{", "(", "\""]
    } else if rules.iter().any(|found| matches!(found, Rule::r#type | Rule::kind)) {
        &["bool", "["]
    } else {
        &[]
    };
    Stop { at, literals: literals.iter().map(|&literal| literal.to_owned()).collect(), name: literals.is_empty() }
}

/// What could have stood there, in words.
fn expected(stop: &Stop) -> Vec<String> {
    let has = |word: &str| stop.literals.contains(word);
    let mut words = Vec::new();
    let expression = has("{") && has("(") && has("\"");
    let complete = has("|>");
    let ty = has("bool") && has("[");
    if expression {
        words.push("an expression".to_owned());
    } else if ty {
        words.push("a type".to_owned());
    } else if stop.name {
        words.push("a name".to_owned());
    } else if has("\"") && !complete {
        words.push("a string".to_owned());
    }
    for (what, first, second) in [("an item", "param", "scene"), ("a statement", "let", "draw"), ("a statement", "update", "ema")] {
        if has(first) && has(second) {
            words.push(what.to_owned());
            return words;
        }
    }
    for literal in &stop.literals {
        let part_of_expression = expression && BEGINNING.contains(&literal.as_str());
        let part_of_type = ty && matches!(literal.as_str(), "[" | "{" | "int" | "bool");
        let going_on = complete && GOING_ON.contains(&literal.as_str());
        let space = matches!(literal.as_str(), " " | "\t" | "\r" | "\n" | "//" | "///" | "/" | "!" | "\"" | "_" | "");
        let sticking = !literal.chars().all(char::is_alphabetic) || literal.len() > 1 || !matches!(literal.as_str(), "k" | "M" | "e");
        if !(part_of_expression || part_of_type || going_on || space) && sticking {
            words.push(format!("`{literal}`"));
        }
    }
    words
}

/// A text whose first word is wrong.
fn beginning(tree: &Tree, rule: Rule, found: Option<Token>, start: usize) -> Fault {
    let (what, known): (&str, &[&str]) = match rule {
        Rule::only_statement => ("a statement", &["let", "draw", "weight", "state", "next", "part", "layer", "return"]),
        Rule::only_slot => ("a slot or a statement", &["let", "draw"]),
        Rule::only_turn => (
            "a statement of a training phase",
            &["update", "together", "ema", "every", "finally", "keep", "restart", "finish", "show", "measure", "checkpoint"],
        ),
        _ => ("an item", &ITEMS),
    };
    let Some(found) = found else {
        return Fault::error("syntax", "nothing follows the documentation", tree.span_of(start, start), "here");
    };
    let word = found.text(tree.text);
    let span = tree.span_of(found.start, found.end);
    let list = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    if found.kind == TokenKind::Word && !is_reserved(word) {
        let meant = nearest(word, known.iter().copied());
        if let Some(meant) = meant {
            let label = format!("did you mean `{meant}`?");
            return Fault::error("unknown-keyword", format!("`{word}` does not begin {what}"), span, label)
                .help(format!("write `{meant}`"));
        }
        let number = tree.tokens.partition_point(|token| token.start <= found.start);
        let next = tree.tokens.get(number).map_or("", |token| token.text(tree.text));
        let code = if next == "=" || next == ":" { "syntax" } else { "unknown-keyword" };
        let help = match next {
            "=" if rule == Rule::only_item => format!("write `let {word} = ..`, or `param {word} = ..` if it can be set from outside"),
            "=" => format!("write `let {word} = ..`"),
            ":" if rule == Rule::only_statement => "slots such as `front: ..` stand in `perturb` only; elsewhere write `let`".to_owned(),
            _ => format!("{what} begins with one of {list}"),
        };
        return Fault::error(code, format!("`{word}` does not begin {what}"), span, "this word").help(help);
    }
    let message = format!("{} cannot stand here", named(tree, found));
    let help = if rule == Rule::only_item && is_reserved(word) {
        format!("`{word}` belongs inside the braces of an item")
    } else {
        format!("{what} begins with one of {list}; is an operator or a comma missing before it?")
    };
    Fault::error("syntax", message, span, format!("{what} should begin here")).help(help)
}

/// A text that goes wrong behind its first token.
fn inside(tree: &Tree, stop: &Stop, before: Token, found: Option<Token>, expected: &[String]) -> Fault {
    if let Some(fault) = odd_token(tree, before, found) {
        return fault;
    }
    let list = match expected {
        [] if found.is_some_and(|found| found.text(tree.text) == "==") && !stop.literals.contains("|>") => "`=`".to_owned(),
        [] => "an operator, or the next item or statement".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    };
    let last = before.text(tree.text);
    let behind = tree.span_of(before.start, before.end);
    let Some(found) = found else {
        return Fault::error("syntax", format!("expected {list}, found the end of the file"), behind, format!("after this `{last}`"));
    };
    let word = found.text(tree.text);
    let span = tree.span_of(found.start, found.end);
    if found.kind == TokenKind::Word
        && !is_reserved(word)
        && let Some(meant) = nearest(word, stop.literals.iter().map(String::as_str).filter(|w| w.len() > 1))
    {
        return Fault::error("unknown-keyword", format!("expected {list}, found `{word}`"), span, format!("did you mean `{meant}`?"))
            .help(format!("write `{meant}`"));
    }
    let message = format!("expected {list}, found {}", named(tree, found));
    let new_line = found.lines > 0;
    let mut fault = if new_line && !expected.is_empty() {
        Fault::error("syntax", message, behind, format!("{} should follow this", expected[0])).also(span, "this comes instead")
    } else {
        Fault::error("syntax", message, span, "this was not expected")
    };
    if let Some(help) = hint(tree, stop, before, found, expected) {
        fault = fault.help(help);
    }
    fault
}

/// The fault of a character or number that the language does not have.
fn odd_token(tree: &Tree, before: Token, found: Option<Token>) -> Option<Fault> {
    let number = |token: &Token| token.kind == TokenKind::Number;
    let span = |token: Token| tree.span_of(token.start, token.end);
    if before.text(tree.text) == "." && tree.tokens.iter().any(|token| number(token) && token.end == before.start) {
        return Some(Fault::error("syntax", "digits are missing behind the point", span(before), "here").help("write `5` or `5.0`"));
    }
    let found = found?;
    let word = found.text(tree.text);
    if found.kind == TokenKind::Strange {
        let fault = Fault::error("syntax", format!("the language does not know the character `{word}`"), span(found), "this character");
        return Some(fault.help("specs are written in ASCII; other characters stand in strings and comments"));
    }
    if word == "." && tree.tokens.iter().any(|token| number(token) && token.start == found.end) {
        return Some(
            Fault::error("syntax", "a number begins with a digit", span(found), "before this point").help("write `0.5` for one half"),
        );
    }
    if number(&found) && !word.trim_end_matches(['k', 'M']).ends_with(|c: char| c.is_ascii_digit()) || word.ends_with("kk") {
        let fault = Fault::error("syntax", format!("`{word}` is no number"), span(found), "this number");
        return Some(fault.help("a number ends with a digit, or with `k` or `M` for thousands and millions"));
    }
    None
}

/// The next step for common slips.
fn hint(tree: &Tree, stop: &Stop, before: Token, found: Token, expected: &[String]) -> Option<String> {
    let (last, word) = (before.text(tree.text), found.text(tree.text));
    let complete = stop.literals.contains("|>");
    let wants = |what: &str| expected.iter().any(|one| one == what);
    if word == "edition" {
        return Some("`edition N` stands before all items, behind the `//!` lines".to_owned());
    }
    if found.kind == TokenKind::Doc {
        return Some("`///` documents the item or statement below it; write `//` for a remark".to_owned());
    }
    if (wants("a name") || wants("an expression")) && is_reserved(word) && found.lines == 0 {
        return Some(format!("`{word}` is a reserved word and names nothing: choose another name"));
    }
    if word == "==" && !complete {
        return Some("`=` gives a name its meaning, `==` compares".to_owned());
    }
    if word == "=" && complete {
        return Some("`==` compares; a label is followed by `:`".to_owned());
    }
    if complete && matches!(word, "(" | "[") && found.start > before.end {
        return Some(format!("a call's `(` and an index's `[` touch what they follow: write `{last}{word}`"));
    }
    if complete && matches!(word, "<" | "<=" | ">" | ">=" | "==" | "!=") {
        return Some("comparisons do not chain: join two with `and`".to_owned());
    }
    if matches!(word, "+" | "*" | "/" | "^") && wants("an expression") {
        return Some(format!("`{word}` stands between two values"));
    }
    None
}

/// A token as a message names it.
fn named(tree: &Tree, token: Token) -> String {
    let text = token.text(tree.text);
    match token.kind {
        TokenKind::Doc => "a `///` comment".to_owned(),
        TokenKind::Text | TokenKind::OpenText => format!("the string {text}"),
        TokenKind::Number => format!("the number `{text}`"),
        TokenKind::Word if is_reserved(text) => format!("the reserved word `{text}`"),
        _ => format!("`{text}`"),
    }
}
