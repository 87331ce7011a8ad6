//! Linear maps along an axis as sparse matrices: what every place of the result is a weighted sum of.

mod resize;

use segc_lang::spec::{AxisMap, Outside};

use crate::kernel::Rows;

type Row = Vec<(usize, f64)>;

/// The matrix of a map from an axis of `from` elements to one of `to`.
pub fn rows(map: &AxisMap, from: usize, to: usize) -> Rows {
    let row = |place: usize| -> Row {
        match map {
            AxisMap::Pad { before, with, .. } => pad(place as isize - before, from, *with),
            AxisMap::Reverse => vec![(from - 1 - place, 1.0)],
            AxisMap::Roll(by) => vec![((place as isize - by).rem_euclid(from as isize) as usize, 1.0)],
            AxisMap::Every(step) => vec![(place * step, 1.0)],
            AxisMap::Resize { by, corners, smooth, scale } => {
                resize::Resize { from, to, corners: *corners, scale: *scale }.row(*by, *smooth, place)
            }
            AxisMap::Average { window, stride, pad, inside } => average(place * stride, *window, *pad, *inside, from),
            AxisMap::AverageTo => mean(place * from / to..((place + 1) * from).div_ceil(to)),
            AxisMap::Fir { taps, up, down, before, .. } => fir(taps, *up, (place * down) as isize - before, from),
        }
    };
    (0..to).map(|place| tidy(row(place))).collect()
}

/// The matrix that turns an axis round.
pub fn reverse(size: usize) -> Rows {
    rows(&AxisMap::Reverse, size, size)
}

/// The transposed matrix of one from an axis of `from` elements.
pub fn transposed(rows: &Rows, from: usize) -> Rows {
    let mut turned: Vec<Row> = vec![Row::new(); from];
    for (place, row) in rows.iter().enumerate() {
        row.iter().for_each(|(source, weight)| turned[*source].push((place, *weight)));
    }
    turned.into()
}

/// Ascending places, each once, none without weight.
fn tidy(mut row: Row) -> Row {
    row.sort_by_key(|(source, _)| *source);
    row.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    row.retain(|(_, weight)| *weight != 0.0);
    row
}

fn pad(place: isize, size: usize, with: Outside) -> Row {
    let last = size as isize - 1;
    let source = match with {
        Outside::Zero => place,
        Outside::Edge => place.clamp(0, last),
        Outside::Reflect => {
            let turned = place.rem_euclid((2 * last).max(1));
            turned.min(2 * last - turned).max(0)
        }
    };
    if (0..=last).contains(&source) { vec![(source as usize, 1.0)] } else { Row::new() }
}

fn mean(places: std::ops::Range<usize>) -> Row {
    let weight = 1.0 / places.len().max(1) as f64;
    places.map(|place| (place, weight)).collect()
}

/// The mean of a window that begins `pad` before the element `start`.
fn average(start: usize, window: usize, pad: usize, inside: bool, size: usize) -> Row {
    let own = mean(start.saturating_sub(pad)..(start + window).saturating_sub(pad).min(size));
    if inside { own } else { own.into_iter().map(|(place, _)| (place, 1.0 / window as f64)).collect() }
}

/// True convolution over the axis with `up - 1` zeros behind every element; the first tap's partner is the last element of the window
/// that begins at `start`.
fn fir(taps: &[f64], up: usize, start: isize, size: usize) -> Row {
    let source = |at: isize| usize::try_from(at).ok().filter(|at| at % up == 0 && at / up < size).map(|at| at / up);
    taps.iter().rev().enumerate().filter_map(|(k, tap)| Some((source(start + k as isize)?, *tap))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use segc_lang::spec::Filter;

    fn apply(map: &AxisMap, x: &[f64], to: usize) -> Vec<f64> {
        rows(map, x.len(), to).iter().map(|row| row.iter().map(|(place, weight)| weight * x[*place]).sum()).collect()
    }

    fn pad(before: isize, after: isize, with: Outside) -> AxisMap {
        AxisMap::Pad { before, after, with }
    }

    fn resize(by: Filter, corners: bool, smooth: bool) -> AxisMap {
        AxisMap::Resize { by, corners, smooth, scale: None }
    }

    #[test]
    fn copies_are_exact() {
        let x = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(apply(&pad(2, -1, Outside::Zero), &x, 5), [0.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(apply(&pad(3, 3, Outside::Reflect), &x, 10), [4.0, 3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0]);
        assert_eq!(apply(&pad(-1, 2, Outside::Edge), &x, 5), [2.0, 3.0, 4.0, 4.0, 4.0]);
        assert_eq!(apply(&pad(2, 1, Outside::Reflect), &[7.0], 4), [7.0; 4]);
        assert_eq!(apply(&AxisMap::Reverse, &x, 4), [4.0, 3.0, 2.0, 1.0]);
        assert_eq!(apply(&AxisMap::Roll(1), &x, 4), [4.0, 1.0, 2.0, 3.0]);
        assert_eq!(apply(&AxisMap::Roll(-6), &x, 4), [3.0, 4.0, 1.0, 2.0]);
        assert_eq!(apply(&AxisMap::Every(3), &x, 2), [1.0, 4.0]);
        assert_eq!(apply(&resize(Filter::Nearest, false, false), &x, 6), [1.0, 1.0, 2.0, 3.0, 3.0, 4.0]);
        assert!(rows(&resize(Filter::Bilinear, true, false), 4, 7).iter().step_by(2).all(|row| row.len() == 1 && row[0].1 == 1.0));
    }

    #[test]
    fn means_over_windows() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0];
        let over = |inside| AxisMap::Average { window: 3, stride: 2, pad: 1, inside };
        assert_eq!(apply(&over(true), &x, 3), [1.5, 3.0, 4.5]);
        assert_eq!(apply(&over(false), &[3.0, 6.0, 9.0, 12.0, 15.0], 3), [3.0, 9.0, 9.0]);
        assert_eq!(apply(&AxisMap::AverageTo, &x, 3), [1.5, 3.0, 4.5]);
        assert_eq!(apply(&AxisMap::AverageTo, &x[..2], 3), [1.0, 1.5, 2.0]);
    }

    #[test]
    fn filters_keep_a_constant() {
        for by in [Filter::Bilinear, Filter::Bicubic] {
            for (corners, smooth, to) in [(false, false, 7), (true, false, 7), (false, true, 3), (false, true, 9), (true, false, 1)] {
                let made = apply(&resize(by, corners, smooth), &[1.0; 5], to);
                assert!(made.iter().all(|v| (v - 1.0).abs() < 1e-12), "{by:?} {corners} {smooth} {made:?}");
            }
        }
    }

    #[test]
    fn a_filter_is_convolved_truly() {
        let fir = AxisMap::Fir { taps: vec![1.0, 10.0, 100.0], up: 2, down: 1, before: 2, after: -1 };
        // 3 0 5 0 becomes 0 0 3 0 5; a window meets the taps from behind.
        assert_eq!(apply(&fir, &[3.0, 5.0], 3), [3.0, 30.0, 305.0]);
    }

    #[test]
    fn the_transposed_matrix_swaps_places() {
        let plain = rows(&resize(Filter::Bilinear, false, false), 3, 5);
        let turned = transposed(&plain, 3);
        for (place, row) in plain.iter().enumerate() {
            assert!(row.iter().all(|(source, weight)| turned[*source].contains(&(place, *weight))));
        }
        assert_eq!(turned.iter().map(Vec::len).sum::<usize>(), plain.iter().map(Vec::len).sum::<usize>());
    }
}
