//! Sums of products over letters as products of matrices: letters of both sides and the result count batches, those that the result lacks
//! depths, the others rows and columns.

use segc_compiler::kernel::{Place, Whole};
use segc_compiler::tensor::strides;

use super::index::{Axis, formula};
use super::text::Text;
use super::tiles::{Product, Side};

/// A letter: its size and its step in the first side, the second, and the result; none where it does not stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letter {
    pub size: usize,
    pub steps: [Option<usize>; 3],
}

/// Letters by what they count.
pub(super) struct Letters {
    pub batches: Vec<Letter>,
    pub rows: Vec<Letter>,
    pub columns: Vec<Letter>,
    pub depths: Vec<Letter>,
}

/// Prints it. `None` where letters repeat in the result or come from nowhere.
pub(super) fn print(text: &mut Text, whole: &Whole, letters: [&[u8]; 3]) -> Option<()> {
    let Letters { batches, rows, columns, mut depths } = counted(whole, letters)?;
    let [(a, _), (b, _)] = whole.operands.as_slice() else { return None };
    let to = &whole.result.0;
    // The last one changes fastest: the one along which the larger side is contiguous.
    let count = |list: &[Letter]| list.iter().map(|letter| letter.size).product::<usize>();
    let larger = usize::from(count(&columns) > count(&rows));
    depths.sort_by_key(|letter| std::cmp::Reverse(letter.steps[larger].or(letter.steps[1 - larger])));
    let side = |own: usize, at: Place, lines: &[Letter]| Side {
        at,
        read: format!(
            "return from[{} + {} + {}];",
            formula("batch", &along(&batches, own)),
            formula("line", &along(lines, own)),
            formula("depth", &along(&depths, own))
        ),
        table: Vec::new(),
        deep: nearest(&depths, own) < nearest(lines, own),
    };
    let place = format!(
        "return {} + {} + {};",
        formula("batch", &along(&batches, 2)),
        formula("row", &along(&rows, 2)),
        formula("column", &along(&columns, 2))
    );
    let product = Product {
        batches: count(&batches),
        rows: count(&rows),
        columns: count(&columns),
        depth: count(&depths),
        left: side(0, *a, &rows),
        right: side(1, *b, &columns),
        place,
        to: *to,
    };
    product.print(text);
    Some(())
}

/// What letters count. `None` where letters repeat in the result or come from nowhere.
pub(super) fn counted(whole: &Whole, letters: [&[u8]; 3]) -> Option<Letters> {
    let [(_, of_a), (_, of_b)] = whole.operands.as_slice() else { return None };
    if (0..letters[2].len()).any(|at| letters[2][..at].contains(&letters[2][at])) {
        return None;
    }
    let all = known(letters, [of_a, of_b, &whole.result.1])?;
    let group = |steps: fn(&[Option<usize>; 3]) -> bool| all.iter().filter(move |l| steps(&l.steps)).copied().collect::<Vec<Letter>>();
    Some(Letters {
        batches: group(|steps| matches!(steps, [Some(_), Some(_), Some(_)])),
        rows: group(|steps| matches!(steps, [Some(_), None, Some(_)])),
        columns: group(|steps| matches!(steps, [None, Some(_), Some(_)])),
        depths: group(|steps| steps[2].is_none()),
    })
}

/// All letters, those of the result first in its order.
fn known(letters: [&[u8]; 3], shapes: [&[usize]; 3]) -> Option<Vec<Letter>> {
    let mut order = letters[2].to_vec();
    for letter in letters[0].iter().chain(letters[1]) {
        if !order.contains(letter) {
            order.push(*letter);
        }
    }
    order.iter().map(|letter| known_letter(*letter, letters, shapes)).collect()
}

fn known_letter(letter: u8, letters: [&[u8]; 3], shapes: [&[usize]; 3]) -> Option<Letter> {
    let mut size = None;
    let mut steps = [None; 3];
    for side in 0..3 {
        for ((own, extent), step) in letters[side].iter().zip(shapes[side]).zip(strides(shapes[side])) {
            if *own == letter {
                // A letter that stands twice means the diagonal.
                steps[side] = Some(steps[side].unwrap_or(0) + step);
                size = Some(*extent);
            }
        }
    }
    (steps[0].is_some() || steps[1].is_some()).then_some(Letter { size: size?, steps })
}

fn along(letters: &[Letter], side: usize) -> Vec<Axis> {
    letters.iter().map(|letter| (letter.size, letter.steps[side].unwrap_or(0))).collect()
}

/// The smallest step of letters of more than one place.
fn nearest(letters: &[Letter], side: usize) -> usize {
    letters.iter().filter(|letter| letter.size > 1).filter_map(|letter| letter.steps[side]).min().unwrap_or(usize::MAX)
}
