//! The reserved words.

/// Words that begin an item. `let` and `draw` also begin statements.
pub const ITEMS: [&str; 23] = [
    "use", "extend", "axis", "type", "param", "variant", "data", "names", "fn", "net", "model", "frozen", "builtin", "scene", "perturb",
    "let", "draw", "loss", "solve", "eval", "train", "output", "accept",
];

/// Reserved words that begin a statement in braces and nothing else.
pub const STATEMENTS: [&str; 10] = ["weight", "state", "next", "part", "layer", "return", "update", "together", "ema", "every"];

/// The other reserved words.
pub const INNER: [&str; 12] = ["finally", "steps", "samples", "epochs", "if", "then", "else", "for", "in", "and", "or", "not"];

/// Words that are names elsewhere but continue an item where they stand.
const CONTINUING: [&str; 14] =
    ["with", "after", "from", "by", "over", "as", "batch", "fresh", "per", "host", "but", "on", "of", "reported"];

/// Whether the word is reserved: never a name. `output` is no reserved word.
pub fn is_reserved(word: &str) -> bool {
    word != "output" && ITEMS.contains(&word) || STATEMENTS.contains(&word) || INNER.contains(&word)
}

/// Whether the word may go on an item at the start of a line.
pub fn continues(word: &str) -> bool {
    CONTINUING.contains(&word) || INNER.contains(&word)
}
