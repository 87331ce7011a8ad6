//! One layout for all specs. Line breaks, comments and single blank lines stay where the author made them; indentation, the space
//! between tokens and the alignment of columns are made regular. No token changes, so no meaning does.

mod align;
mod indent;
mod lines;
mod starts;
#[cfg(test)]
mod tests;

use crate::fault::Fault;
use crate::parse::parse;
use crate::source::Sources;
use lines::Line;

/// Rounds of laying out after which columns that still move are left as they are.
const ROUNDS: usize = 24;

/// The text in the one style: four spaces, runs of `param`, `=` and trailing comments aligned. Formatting it again changes nothing.
///
/// # Errors
/// The faults of a text that does not parse; their places are in the only source, number 0.
pub fn format(text: &str) -> Result<String, Vec<Fault>> {
    let mut sources = Sources::default();
    let id = sources.add("spec", text);
    let (file, faults) = parse(&sources, id);
    if !faults.is_empty() {
        return Err(faults);
    }
    let starts = starts::starts(&file);
    let mut lines = lines::lines(text, &starts);
    let columns = align::columns(text, &lines, &starts);
    for _ in 0..ROUNDS {
        let before = place(&lines);
        indent::indent(text, &mut lines, &starts);
        align::align(&mut lines, &columns);
        if place(&lines) == before {
            break;
        }
    }
    Ok(written(text, &lines))
}

/// Where every token stands.
fn place(lines: &[Line]) -> Vec<usize> {
    lines.iter().flat_map(|line| line.cells.iter().map(|cell| cell.column)).collect()
}

fn written(text: &str, lines: &[Line]) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, line) in lines.iter().enumerate() {
        if line.blank_before && number > 0 {
            out.push('\n');
        }
        let mut column = 0;
        for cell in &line.cells {
            out.extend(std::iter::repeat_n(' ', cell.column.saturating_sub(column)));
            out.push_str(cell.token.text(text));
            column = cell.end();
        }
        out.push('\n');
    }
    out
}
