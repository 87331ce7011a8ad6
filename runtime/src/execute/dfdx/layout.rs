//! Which element goes where: what an op moves, as places in the row-major order of its operands.

use segc_compiler::kernel::{Slide, Tap, Window};
use segc_compiler::tensor::{indices, offset, strides};

/// Places of a result whose axes have these steps in the operand, from `start` on.
pub(super) fn stepped(shape: &[usize], steps: &[usize], start: usize) -> Vec<usize> {
    let mut places = vec![start];
    for (size, step) in shape.iter().zip(steps) {
        places = places.iter().flat_map(|place| (0..*size).map(move |i| place + i * step)).collect();
    }
    places
}

/// Axes of an operand in another order.
pub(super) fn permuted(x: &[usize], order: &[usize]) -> Vec<usize> {
    let steps = strides(x);
    stepped(&order.iter().map(|&axis| x[axis]).collect::<Vec<_>>(), &order.iter().map(|&axis| steps[axis]).collect::<Vec<_>>(), 0)
}

/// An operand repeated to `shape`; `places` says where its axes stand there.
pub(super) fn expanded(x: &[usize], shape: &[usize], places: &[usize]) -> Vec<usize> {
    let own = strides(x);
    let step = |axis: usize| places.iter().position(|place| *place == axis).map_or(0, |at| own[at]);
    stepped(shape, &(0..shape.len()).map(step).collect::<Vec<_>>(), 0)
}

/// One index of an axis, which is gone.
pub(super) fn picked(x: &[usize], axis: usize, at: usize) -> Vec<usize> {
    let own = strides(x);
    let rest: Vec<usize> = (0..x.len()).filter(|i| *i != axis).collect();
    stepped(&rest.iter().map(|&i| x[i]).collect::<Vec<_>>(), &rest.iter().map(|&i| own[i]).collect::<Vec<_>>(), at * own[axis])
}

/// A part of an axis.
pub(super) fn sliced(x: &[usize], shape: &[usize], axis: usize, from: usize) -> Vec<usize> {
    let own = strides(x);
    stepped(shape, &own, from * own[axis])
}

/// A part put into a longer axis of zeros; the zero stands behind the operand.
pub(super) fn embedded(x: &[usize], shape: &[usize], axis: usize, from: usize) -> Vec<usize> {
    let zero: usize = x.iter().product();
    let place = |mut index: Vec<usize>| match index[axis].checked_sub(from) {
        Some(inside) if inside < x[axis] => {
            index[axis] = inside;
            offset(x, &index)
        }
        _ => zero,
    };
    indices(shape).map(place).collect()
}

/// Operands that lie one behind the other, joined along an axis.
pub(super) fn concatenated(operands: &[&[usize]], shape: &[usize], axis: usize) -> Vec<usize> {
    let place = |mut index: Vec<usize>| {
        let mut start = 0;
        for x in operands {
            if index[axis] < x[axis] {
                return start + offset(x, &index);
            }
            index[axis] -= x[axis];
            start += x.iter().product::<usize>();
        }
        start
    };
    indices(shape).map(place).collect()
}

/// The axes of `over` behind the others: rows of what is joined.
pub(super) fn rows(x: &[usize], over: &[usize]) -> Vec<usize> {
    let kept = (0..x.len()).filter(|axis| !over.contains(axis));
    permuted(x, &kept.chain(over.iter().copied()).collect::<Vec<_>>())
}

/// The axes of a product by what becomes of them: in both operands and the result, summed over, in the left one only, in the right one.
pub(super) struct Letters {
    pub batch: Vec<u8>,
    pub summed: Vec<u8>,
    pub left: Vec<u8>,
    pub right: Vec<u8>,
}

impl Letters {
    /// Sorts them; a letter that only one operand has and the result lacks is summed over as well.
    pub fn new(a: &[u8], b: &[u8], result: &[u8]) -> Letters {
        let mut sorted = Letters { batch: Vec::new(), summed: Vec::new(), left: Vec::new(), right: Vec::new() };
        for &letter in a.iter().chain(b) {
            let group = match (a.contains(&letter), b.contains(&letter), result.contains(&letter)) {
                (true, true, true) => &mut sorted.batch,
                (true, false, true) => &mut sorted.left,
                (false, true, true) => &mut sorted.right,
                _ => &mut sorted.summed,
            };
            if !group.contains(&letter) {
                group.push(letter);
            }
        }
        sorted
    }
}

/// An operand with these letters, laid out along others; letters that it lacks repeat it.
pub(super) fn lettered(own: &[u8], x: &[usize], along: &[u8], size: impl Fn(u8) -> usize) -> Vec<usize> {
    let steps = strides(x);
    let step = |letter: &u8| own.iter().zip(&steps).filter(|(l, _)| *l == letter).map(|(_, step)| step).sum();
    stepped(&along.iter().map(|&l| size(l)).collect::<Vec<_>>(), &along.iter().map(step).collect::<Vec<_>>(), 0)
}

/// For each element the places of a stencil's taps; the zero stands behind the operand.
pub(super) fn stencil(shape: &[usize], taps: &[Tap]) -> Vec<usize> {
    let zero: usize = shape.iter().product();
    let last = shape.len() - 1;
    let inside = |place: usize, by: isize, size: usize| place.checked_add_signed(-by).filter(|place| *place < size);
    let place = |mut index: Vec<usize>, tap: &Tap| {
        let moved = inside(index[last - 1], tap.down, shape[last - 1]).zip(inside(index[last], tap.right, shape[last]));
        moved.map_or(zero, |(row, column)| {
            (index[last - 1], index[last]) = (row, column);
            offset(shape, &index)
        })
    };
    indices(shape).flat_map(|index| taps.iter().map(move |tap| place(index.clone(), tap)).collect::<Vec<_>>()).collect()
}

/// The windows of a picture `[.., h, w]`, each a row; the padding stands behind the operand.
pub(super) fn windows(x: &[usize], shape: &[usize], window: &Window) -> Vec<usize> {
    let pad: usize = x.iter().product();
    let last = x.len() - 1;
    let inside = |at: usize, tap: usize, axis: usize| {
        let place = (at * window.stride[axis] + tap).checked_sub(window.pad[2 * axis]);
        place.filter(|place| *place < x[last - 1 + axis])
    };
    let mut places = Vec::new();
    for mut index in indices(shape) {
        let (row, column) = (index[last - 1], index[last]);
        for tap in indices(&window.size) {
            places.push(inside(row, tap[0], 0).zip(inside(column, tap[1], 1)).map_or(pad, |(row, column)| {
                (index[last - 1], index[last]) = (row, column);
                offset(x, &index)
            }));
        }
    }
    places
}

/// The columns of a convolution, `[groups, channels and taps, samples and places]`; the zero stands behind the operand.
pub(super) fn columns(x: &[usize], kernel: &[usize], shape: &[usize], slide: &Slide) -> Vec<usize> {
    let zero: usize = x.iter().product();
    let inside = |at: usize, tap: usize, axis: usize| {
        let spread = (at * slide.stride[axis] + tap * slide.dilation[axis]).checked_add_signed(-slide.pad[2 * axis])?;
        let place = spread / slide.input_dilation[axis];
        (spread.is_multiple_of(slide.input_dilation[axis]) && place < x[2 + axis]).then_some(place)
    };
    let place = |i: Vec<usize>| {
        let [group, channel, down, right, sample, row, column] = i[..] else { return zero };
        let spot = inside(row, down, 0).zip(inside(column, right, 1));
        spot.map_or(zero, |(h, w)| offset(x, &[sample, group * kernel[1] + channel, h, w]))
    };
    indices(&[slide.groups, kernel[1], kernel[2], kernel[3], shape[0], shape[2], shape[3]]).map(place).collect()
}

/// The weight `[o, c, rows, columns]` of a convolution as `[c and taps, o]`, read from `[c, o, rows, columns]` with its taps backwards.
pub(super) fn turned(w: &[usize; 4]) -> Vec<usize> {
    let (results, taps) = (w[0], w[2] * w[3]);
    indices(&[w[1], taps, results]).map(|i| (i[0] * results + i[2]) * taps + taps - 1 - i[1]).collect()
}

/// Whole number of a run-time index below `size`; what lies outside goes to the nearest end.
fn whole(index: f64, size: usize) -> usize {
    (index.max(0.0) as usize).min(size.saturating_sub(1))
}

/// `x[b.., k, r..]` read at the run-time places `[b.., m..]`.
pub(super) fn looked_up(x: &[usize], batch: usize, at: &[f64]) -> Vec<usize> {
    let groups: usize = x[..batch].iter().product();
    let (size, rest) = (x[batch], x[batch + 1..].iter().product::<usize>());
    let each = at.len() / groups.max(1);
    let start = |(i, index): (usize, &f64)| (i / each.max(1) * size + whole(*index, size)) * rest;
    at.iter().enumerate().flat_map(|found| (0..rest).map(move |r| start(found) + r)).collect()
}

/// The adjoint: for each place of the result the elements of `x[b.., m.., r..]` that belong there, in rows of one length; the zero
/// stands behind the operand.
pub(super) fn scattered(shape: &[usize], batch: usize, at: &[f64]) -> (Vec<usize>, usize) {
    let groups: usize = shape[..batch].iter().product();
    let (size, rest) = (shape[batch], shape[batch + 1..].iter().product::<usize>());
    let each = at.len() / groups.max(1);
    let mut sources = vec![Vec::new(); groups * size];
    for (i, index) in at.iter().enumerate() {
        sources[i / each.max(1) * size + whole(*index, size)].push(i);
    }
    let most = sources.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let place = |from: &Vec<usize>, r: usize, i: usize| from.get(i).map_or(at.len() * rest, |source| source * rest + r);
    let row =
        |from: &Vec<usize>| (0..rest).flat_map(|r| (0..most).map(move |i| (r, i))).map(|(r, i)| place(from, r, i)).collect::<Vec<_>>();
    (sources.iter().flat_map(row).collect(), most)
}

/// `x[b.., r.., h, w]` moved by whole pixels that are known at run time; the zero stands behind the operand.
pub(super) fn shifted(x: &[usize], batch: usize, right: &[f64], down: &[f64]) -> Vec<usize> {
    let zero: usize = x.iter().product();
    let last = x.len() - 1;
    let inside = |place: usize, by: f64, size: usize| {
        let from = place as f64 - by.round();
        (from >= 0.0 && from < size as f64).then_some(from as usize)
    };
    let place = |mut index: Vec<usize>| {
        let own = offset(&x[..batch], &index[..batch]);
        let moved = inside(index[last - 1], down[own], x[last - 1]).zip(inside(index[last], right[own], x[last]));
        moved.map_or(zero, |(row, column)| {
            (index[last - 1], index[last]) = (row, column);
            offset(x, &index)
        })
    };
    indices(x).map(place).collect()
}
