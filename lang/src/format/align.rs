//! Columns that several lines share: help and `=` of params, entries of variants, trailing comments, and whatever the author has
//! put under each other with more than one space.

use super::lines::{Cell, Line};
use crate::parse::lex::TokenKind;
use std::collections::{BTreeMap, BTreeSet};

/// A help text that would begin behind this column stands by itself.
const FAR: usize = 48;
/// No column is made behind the width of a line.
const WIDE: usize = 140;

/// Tokens that stand in one column, as (line, cell).
#[derive(Debug)]
pub struct Column {
    cells: Vec<(usize, usize)>,
    /// The least column.
    least: usize,
    /// A cell that would push the column beyond this stands by itself.
    most: usize,
}

/// Finds the columns of a text.
pub fn columns(text: &str, lines: &[Line], starts: &BTreeSet<usize>) -> Vec<Column> {
    let mut columns = params(text, lines);
    columns.extend(entries(text, lines));
    let taken: BTreeSet<(usize, usize)> = columns.iter().flat_map(|column| column.cells.iter().copied()).collect();
    columns.extend(by_hand(text, lines, starts, &taken));
    columns.extend(comments(lines));
    columns
}

/// Sets the spaces before the cells of every column, from the columns that the cells would have without them.
pub fn align(lines: &mut [Line], columns: &[Column]) {
    for column in columns {
        let natural = |lines: &[Line], (line, cell): (usize, usize)| lines[line].cells[cell].column - lines[line].cells[cell].pad;
        let fits = |lines: &[Line], at| natural(lines, at) <= column.most;
        let all = column.cells.iter().filter(|at| fits(lines, **at)).map(|at| natural(lines, *at));
        let Some(target) = all.max().map(|most| most.max(column.least)) else { continue };
        for &(line, cell) in &column.cells {
            let at = natural(lines, (line, cell));
            lines[line].cells[cell].pad = if at <= column.most { target - at } else { 0 };
            push(&mut lines[line], cell);
        }
    }
}

/// Moves what stands behind a cell along with it.
fn push(line: &mut Line, from: usize) {
    for at in from..line.cells.len() {
        line.cells[at].column = line.cells[at - 1].end() + line.cells[at].least + line.cells[at].pad;
    }
}

/// Runs of `param` lines: their `=`, and their help.
fn params(text: &str, lines: &[Line]) -> Vec<Column> {
    let mut columns = Vec::new();
    let is_param = |line: &Line| line.cells[0].token.text(text) == "param";
    let mut at = 0;
    while at < lines.len() {
        let end = (at + 1..lines.len()).find(|&n| !is_param(&lines[n]) || lines[n].blank_before).unwrap_or(lines.len());
        if !is_param(&lines[at]) {
            at += 1;
            continue;
        }
        columns.extend(run_of_params(text, lines, at..end));
        at = end;
    }
    columns
}

fn run_of_params(text: &str, lines: &[Line], run: std::ops::Range<usize>) -> Vec<Column> {
    let (mut signs, mut helps) = (Vec::new(), Vec::new());
    let mut originals: BTreeMap<usize, usize> = BTreeMap::new();
    for number in run {
        let cells = &lines[number].cells;
        let word = |n: usize| cells.get(n).map_or("", |cell| cell.token.text(text));
        // Those with a kind differ too much in length to share a column.
        if word(2) == "=" {
            signs.push((number, 2));
        }
        let last = cells.iter().rposition(|cell| !cell.token.is_comment()).unwrap_or(0);
        if last > 3 && cells[last].token.kind == TokenKind::Text && word(last - 1) != "=" {
            helps.push((number, last));
            *originals.entry(cells[last].original).or_default() += 1;
        }
    }
    let (least, most) = help_column(lines, &helps, &originals);
    vec![Column { cells: signs, least: 0, most: WIDE }, Column { cells: helps, least, most }]
}

/// The column of help texts: where most of them stand already if nearly all fit there, or else right behind the longest that is not
/// far.
fn help_column(lines: &[Line], helps: &[(usize, usize)], originals: &BTreeMap<usize, usize>) -> (usize, usize) {
    let usual = originals.iter().max_by_key(|(column, count)| (**count, std::cmp::Reverse(**column)));
    let Some((&usual, &count)) = usual else { return (0, FAR) };
    let fit = helps.iter().filter(|&&(line, cell)| {
        let help = lines[line].cells[cell];
        help.original + help.least <= usual + help.gap
    });
    let kept = usual <= FAR && 2 * count > helps.len() && 5 * fit.count() >= 4 * helps.len();
    if kept { (usual, usual) } else { (0, FAR) }
}

/// Tokens that the author has put under each other: the same column in two lines that follow each other, more than one space before
/// one of them, and the same word or the same word before. Lines that go on a statement may lie between two statements.
fn by_hand(text: &str, lines: &[Line], starts: &BTreeSet<usize>, taken: &BTreeSet<(usize, usize)>) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut of: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    // The last statement of the paragraph with each indent.
    let mut heads: BTreeMap<usize, usize> = BTreeMap::new();
    for number in 0..lines.len() {
        let first = lines[number].cells[0];
        if lines[number].blank_before {
            heads.clear();
        }
        let begins = starts.contains(&first.token.start);
        let head = if begins { heads.insert(first.original, number) } else { None };
        let above = number.checked_sub(1).filter(|_| !lines[number].blank_before);
        let above: BTreeSet<usize> = above.into_iter().chain(head).collect();
        for (above, upper, lower) in above.into_iter().flat_map(|n| pairs(text, lines, n, number)) {
            let (above, below) = ((above, upper), (number, lower));
            if taken.contains(&above) || taken.contains(&below) || of.contains_key(&below) {
                continue;
            }
            let column = *of.entry(above).or_insert_with(|| {
                columns.push(Column { cells: vec![above], least: 0, most: WIDE });
                columns.len() - 1
            });
            columns[column].cells.push(below);
            of.insert(below, column);
        }
    }
    columns.sort_by_key(|column| column.cells.first().map(|&(line, cell)| lines[line].cells[cell].original));
    columns
}

/// Cells of two lines that stand under each other on purpose, with the number of the upper line.
fn pairs(text: &str, lines: &[Line], above: usize, below: usize) -> Vec<(usize, usize, usize)> {
    let (over, under) = (&lines[above], &lines[below]);
    let mut pairs = Vec::new();
    for (a, upper) in over.cells.iter().enumerate().skip(1) {
        for (b, lower) in under.cells.iter().enumerate().skip(1) {
            let same = upper.original == lower.original && !upper.token.is_comment() && !lower.token.is_comment();
            let spaced = upper.gap > upper.least.max(1) || lower.gap > lower.least.max(1);
            let before = over.cells[a - 1].token.text(text) == under.cells[b - 1].token.text(text);
            if same && spaced && (before || alike(text, *upper, *lower)) {
                pairs.push((above, a, b));
            }
        }
    }
    pairs
}

/// Whether two tokens are the same, or give a name its meaning in two ways, or are both strings.
fn alike(text: &str, one: Cell, other: Cell) -> bool {
    let (word, sign) = (one.token.text(text), other.token.text(text));
    let meaning = |word: &str| matches!(word, "=" | "~" | "{");
    word == sign || meaning(word) && meaning(sign) || one.token.kind == TokenKind::Text && other.token.kind == TokenKind::Text
}

/// Runs of lines that begin with `name =`: the entries of a variant.
fn entries(text: &str, lines: &[Line]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut last = None;
    for (number, line) in lines.iter().enumerate() {
        if line.cells.get(1).is_none_or(|cell| cell.token.text(text) != "=") {
            continue;
        }
        match columns.last_mut() {
            Some(column) if !line.blank_before && number > 0 && last == Some(number - 1) => column.cells.push((number, 1)),
            _ => columns.push(Column { cells: vec![(number, 1)], least: 0, most: WIDE }),
        }
        last = Some(number);
    }
    columns
}

/// Trailing comments of lines that follow each other. A comment far to the right stays where it is.
fn comments(lines: &[Line]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut last = None;
    for (number, line) in lines.iter().enumerate() {
        let cell = line.cells.len() - 1;
        if cell == 0 || !line.cells[cell].token.is_comment() {
            continue;
        }
        let original = line.cells[cell].original;
        let goes_on = last == number.checked_sub(1) && number > 0 && !line.blank_before;
        match columns.last_mut() {
            Some(column) if goes_on => {
                column.cells.push((number, cell));
                column.least = column.least.max(original);
            }
            _ => columns.push(Column { cells: vec![(number, cell)], least: original, most: WIDE }),
        }
        last = Some(number);
    }
    columns
}
