//! Sums of products over letters: letters that both sides and the result have count batches, those that both sides alone have are
//! depths, the others rows and columns of matrix products. Operands are read where they lie.

use segc_compiler::kernel::Join;
use segc_compiler::tensor::strides;

use super::gemm::{self, Item, Places, Sizes, Strided};
use super::lying;
use super::permute::Permute;
use super::reduce::Reduce;
use super::thin::Thin;
use super::{Hands, Memory, Room};

/// Rows up to which a product is not made in tiles.
const THIN: usize = 3;

/// Columns up to which rows and columns are exchanged where there are more rows.
const NARROW: usize = 8;

/// A contraction.
pub(super) struct Contract {
    /// Sums over letters that only one side has, with the elements that they leave.
    folds: [Option<(Reduce, usize)>; 2],
    /// Whether the second operand is the left side.
    swapped: bool,
    sizes: Sizes,
    left: Places,
    right: Places,
    /// Whether the left side is read where it lies.
    lies: bool,
    /// Batch and row of each row of the product.
    rows: Vec<(usize, usize)>,
    /// From the product's order to the result's.
    turn: Option<Permute>,
    arch: pulp::Arch,
}

/// An axis: letter, size, step.
type Axis = (u8, usize, usize);

impl Contract {
    /// `None` where letters repeat in the result or come from nowhere.
    pub fn new(letters: [&[u8]; 3], shapes: &[&[usize]], result: &[usize], arch: pulp::Arch) -> Option<Contract> {
        let [a, b, to] = letters;
        let known = |letter: &u8| a.contains(letter) || b.contains(letter);
        let repeated = |at: usize| to[..at].contains(&to[at]);
        if shapes.len() != 2 || !to.iter().all(known) || (0..to.len()).any(repeated) {
            return None;
        }
        let mut sides = [axes(a, shapes[0]), axes(b, shapes[1])];
        let mut folds = [None, None];
        for own in 0..2 {
            let others: Vec<u8> = sides[1 - own].iter().map(|axis| axis.0).collect();
            let lost = |letter: u8| !others.contains(&letter) && !to.contains(&letter);
            if sides[own].iter().any(|axis| lost(axis.0)) {
                let reduce = Reduce::strided(Join::Sum, sides[own].iter().map(|&(letter, size, step)| (size, step, lost(letter))));
                let kept: Vec<Axis> = sides[own].iter().copied().filter(|axis| !lost(axis.0)).collect();
                let sizes: Vec<usize> = kept.iter().map(|axis| axis.1).collect();
                folds[own] = Some((reduce, sizes.iter().product()));
                sides[own] = kept.iter().zip(strides(&sizes)).map(|(axis, step)| (axis.0, axis.1, step)).collect();
            }
        }
        Some(Contract::over(folds, sides, to, result, arch))
    }

    fn over(folds: [Option<(Reduce, usize)>; 2], sides: [Vec<Axis>; 2], to: &[u8], result: &[usize], arch: pulp::Arch) -> Contract {
        let has = |side: &[Axis], letter: u8| side.iter().any(|axis| axis.0 == letter);
        let only = |own: usize| -> Vec<u8> { to.iter().copied().filter(|l| has(&sides[own], *l) && !has(&sides[1 - own], *l)).collect() };
        let count =
            |letters: &[u8]| -> usize { to.iter().zip(result).filter(|(l, _)| letters.contains(l)).map(|(_, size)| size).product() };
        // The right side's own letters end the result, if that can be had.
        let ends = |own: usize| to.ends_with(&only(own)) && !only(own).is_empty();
        let mut swapped = ends(0) || !ends(1) && count(&only(0)) > count(&only(1));
        let [rows, columns] = [usize::from(swapped), 1 - usize::from(swapped)].map(|own| count(&only(own)));
        let exchanged = columns <= NARROW && rows > 2 * NARROW;
        swapped ^= exchanged;
        let (own, other) = if swapped { (1, 0) } else { (0, 1) };
        let [rows, columns] = [only(own), only(other)];
        let batches: Vec<u8> = to.iter().copied().filter(|l| has(&sides[0], *l) && has(&sides[1], *l)).collect();
        let depths: Vec<u8> = sides[other].iter().map(|axis| axis.0).filter(|l| has(&sides[own], *l) && !to.contains(l)).collect();
        let natural = to.ends_with(&columns);
        let order = if natural { to.to_vec() } else { [batches.clone(), rows.clone(), columns.clone()].concat() };
        let size_of = |letter: u8| to.iter().position(|l| *l == letter).map_or(1, |at| result[at]);
        let places = |side: &[Axis], lines: &[u8]| Places {
            batches: offsets(&batches, side),
            lines: offsets(lines, side),
            depths: offsets(&depths, side),
        };
        let (left, right) = (places(&sides[own], &rows), places(&sides[other], &columns));
        let sizes = Sizes { batches: left.batches.len(), rows: left.lines.len(), columns: right.lines.len(), depth: left.depths.len() };
        let leading = &order[..order.len() - columns.len()];
        let number = |letters: &[u8]| {
            let extent: Vec<usize> = letters.iter().map(|l| size_of(*l)).collect();
            let axes: Vec<Axis> = letters.iter().zip(&extent).zip(strides(&extent)).map(|((l, size), step)| (*l, *size, step)).collect();
            // A letter that counts nothing here has step 0.
            let all: Vec<Axis> =
                leading.iter().map(|l| axes.iter().copied().find(|axis| axis.0 == *l).unwrap_or((*l, size_of(*l), 0))).collect();
            offsets(leading, &all)
        };
        let extent: Vec<usize> = order.iter().map(|l| size_of(*l)).collect();
        let steps = strides(&extent);
        let step_of = |letter: &u8| order.iter().position(|l| l == letter).map_or(0, |at| steps[at]);
        Contract {
            folds,
            swapped,
            sizes,
            lies: lying::fits(&left, sizes),
            left,
            right,
            rows: number(&batches).into_iter().zip(number(&rows)).collect(),
            turn: (!natural).then(|| Permute::strided(to.iter().zip(result).map(|(letter, size)| (*size, step_of(letter))))),
            arch,
        }
    }

    fn is_thin(&self) -> bool {
        self.sizes.rows <= THIN
    }

    fn product(&self, left: &[f32], right: &[f32], to: &mut [f32], hands: &mut Hands) {
        let Sizes { columns, depth, rows, .. } = self.sizes;
        if depth == 0 || to.is_empty() {
            return to.fill(0.0);
        }
        let (left, right) = (Strided { data: left, places: &self.left }, Strided { data: right, places: &self.right });
        if self.is_thin() {
            return Thin { left, right }.run(&self.rows, columns, to, hands);
        }
        let across = columns.div_ceil(gemm::BLOCK);
        let height = if self.lies { lying::height(self.sizes) } else { self.sizes.height(self.sizes.batches * across) };
        let down = rows.div_ceil(height);
        let mut items: Vec<Item> = (0..self.sizes.batches * down * across)
            .map(|number| {
                let (column, row) = (number % across * gemm::BLOCK, number / across % down * height);
                Item {
                    batch: number / across / down,
                    rows: row..(row + height).min(rows),
                    columns: column..(column + gemm::BLOCK).min(columns),
                    to: Vec::new(),
                    width: gemm::BLOCK.min(columns - column),
                }
            })
            .collect();
        for (line, (batch, row)) in to.chunks_mut(columns).zip(&self.rows) {
            let first = (batch * down + row / height) * across;
            items[first..].iter_mut().zip(line.chunks_mut(gemm::BLOCK)).for_each(|(item, piece)| item.to.push(piece));
        }
        match self.lies {
            true => lying::multiply(self.sizes, &left, &right, items.into_iter(), hands),
            false => gemm::multiply(self.sizes, &left, &right, items.into_iter(), hands),
        }
    }
}

impl Room for Contract {
    fn memory(&self) -> Memory {
        let folded: usize = self.folds.iter().flatten().map(|(_, size)| size).sum();
        let product = self.sizes.batches * self.sizes.rows * self.sizes.columns;
        let (common, own) = match () {
            () if self.is_thin() => (0, 0),
            () if self.lies => (lying::packed(self.sizes, self.arch), 0),
            () => (self.sizes.common(self.arch), self.sizes.own(self.arch)),
        };
        Memory { common: folded + if self.turn.is_some() { product } else { 0 } + common, own }
    }

    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let common = std::mem::take(&mut hands.common);
        let mut rest = &mut *common;
        let mut sides = [operands[0], operands[1]];
        for (side, fold) in sides.iter_mut().zip(&self.folds) {
            if let Some((reduce, size)) = fold {
                let (to, behind) = rest.split_at_mut(*size);
                reduce.run(&[side], to, hands);
                (*side, rest) = (to, behind);
            }
        }
        let [left, right] = if self.swapped { [sides[1], sides[0]] } else { sides };
        match &self.turn {
            None => {
                hands.common = rest;
                self.product(left, right, result, hands);
            }
            Some(turn) => {
                let (product, behind) = rest.split_at_mut(result.len());
                hands.common = behind;
                self.product(left, right, product, hands);
                turn.run(&[product], result, hands);
            }
        }
    }
}

/// The axes of an operand, one for each letter.
fn axes(letters: &[u8], shape: &[usize]) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::new();
    for ((letter, size), step) in letters.iter().zip(shape).zip(strides(shape)) {
        match axes.iter_mut().find(|axis| axis.0 == *letter) {
            // A letter that stands twice means the diagonal.
            Some(axis) => axis.2 += step,
            None => axes.push((*letter, *size, step)),
        }
    }
    axes
}

/// Where all indices of some letters lie, the last letter fastest.
fn offsets(letters: &[u8], side: &[Axis]) -> Vec<usize> {
    let axes = letters.iter().filter_map(|letter| side.iter().find(|axis| axis.0 == *letter));
    axes.fold(vec![0], |starts, &(_, size, step)| starts.iter().flat_map(|start| (0..size).map(move |i| start + i * step)).collect())
}
