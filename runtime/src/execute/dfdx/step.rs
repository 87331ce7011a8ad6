//! An op as dfdx runs it: what can be known before a run is prepared once, above all the places from which elements are gathered.

use std::sync::Arc;

use dfdx::prelude::{Cpu, Device, TensorFromVec, TryMul};
use segc_compiler::kernel::{Function, Join, Rows, Slide, Tap, Window};
use segc_compiler::ops::{Form, Op};
use segc_compiler::tensor::Tensor;

use super::layout::{self, Letters};
use super::tape::{Flat, Index, Real, Tape, refused};
use crate::host::{Algorithm, Array, algorithm};

/// An op made ready.
pub(super) enum Step {
    /// An input, by number.
    Input(usize),
    /// Elements that are known.
    Known(Vec<f64>),
    /// Element by element.
    Map(Function),
    /// The same elements.
    Same,
    /// Elements gathered from the operands, which lie one behind the other, a zero behind them.
    Move(Index),
    /// Weighted sums of gathered elements: so many to a sum.
    Mix { from: Index, weights: Vec<f64>, taps: usize },
    /// Rows of so many gathered elements summed up.
    Sum { rows: Index, columns: usize },
    /// The first largest or smallest element of each row of gathered ones, with minus infinity behind the operand.
    Extreme { rows: Index, columns: usize, join: Join },
    /// What the first largest element of each row is called.
    Place { rows: Index, columns: usize, names: Vec<f64> },
    /// A batched product of gathered operands with sizes batch, summed, left, right; then elements put into the order of the result.
    Product { left: Index, right: Index, sizes: [usize; 4], result: Index },
    /// Places that are known at run time.
    Lookup(Lookup),
    /// An algorithm of the host.
    Host(Algorithm, Vec<f64>),
    /// What is no arithmetic: a draw, whose numbers its definition fixes to the bit.
    Defined(Arc<dyn Op>),
}

/// How run-time places are read; the number of axes in front that they share with the operand.
#[derive(Clone, Copy)]
pub(super) enum Lookup {
    Gather(usize),
    Scatter(usize),
    Shift(usize),
    /// One place of this axis.
    Pick(usize),
}

/// Prepares one op of operands and a result of these sizes. None: dfdx cannot run it. Errors: an algorithm of the host that does not exist.
pub(super) fn prepare(op: &Arc<dyn Op>, operands: &[&[usize]], shape: &[usize], device: &Cpu) -> Result<Option<Step>, String> {
    let index = |places: Vec<usize>| {
        let count = places.len();
        device.try_tensor_from_vec(places, (count,)).map_err(refused)
    };
    let moved = |places: Vec<usize>| Ok(Some(Step::Move(index(places)?)));
    let x = operands.first().copied().unwrap_or_default();
    Ok(Some(match op.form() {
        Form::Input(number) => Step::Input(number),
        Form::Constant(value) => Step::Known(vec![value]),
        Form::Map(function) => Step::Map(function),
        Form::Reshape => Step::Same,
        Form::Expand(places) => return moved(layout::expanded(x, shape, &places)),
        Form::Pick(axis, at) => return moved(layout::picked(x, axis, at)),
        Form::Permute(order) => return moved(layout::permuted(x, &order)),
        Form::Slice(axis, from) => return moved(layout::sliced(x, shape, axis, from)),
        Form::Embed(axis, from) => return moved(layout::embedded(x, shape, axis, from)),
        Form::Concat(axis) => return moved(layout::concatenated(operands, shape, axis)),
        Form::Stencil(taps) => mix(index(layout::stencil(shape, &taps))?, &taps, shape),
        Form::Resample(axis, rows) => resampled(x, shape, axis, &rows, index)?,
        Form::Reduce(join, over) => reduced(x, join, &over, index)?,
        Form::ArgMax(axis) => {
            let names = (0..x.iter().product()).map(|i| (i % x[axis]) as f64).collect();
            Step::Place { rows: index(layout::rows(x, &[axis]))?, columns: x[axis], names }
        }
        Form::MaxPool { window, place } => pooled(x, shape, &window, place, index)?,
        Form::Contract(a, b, result) => contracted([&a, &b, &result], operands, index)?,
        Form::Conv(slide) => convolved(operands, shape, &slide, index)?,
        Form::PickAt(axis) => Step::Lookup(Lookup::Pick(axis)),
        Form::Gather(batch) => Step::Lookup(Lookup::Gather(batch)),
        Form::Scatter(batch) => Step::Lookup(Lookup::Scatter(batch)),
        Form::Shift(batch) => Step::Lookup(Lookup::Shift(batch)),
        Form::Host(name, numbers) => Step::Host(algorithm(&name).ok_or(format!("there is no algorithm `{name}`"))?, numbers),
        Form::Random(..) => Step::Defined(op.clone()),
        Form::Whole if operands.is_empty() => Step::Known(op.reference(&[], shape).data),
        Form::Whole => return Ok(None),
    }))
}

fn mix(from: Index, taps: &[Tap], shape: &[usize]) -> Step {
    let weights = (0..shape.iter().product()).flat_map(|_: usize| taps.iter().map(|tap| tap.weight)).collect();
    Step::Mix { from, weights, taps: taps.len() }
}

/// A sparse matrix along an axis: as many terms everywhere as its longest row has.
fn resampled(
    x: &[usize],
    shape: &[usize],
    axis: usize,
    rows: &Rows,
    index: impl Fn(Vec<usize>) -> Result<Index, String>,
) -> Result<Step, String> {
    let zero: usize = x.iter().product();
    let taps = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let (mut places, mut weights) = (Vec::new(), Vec::new());
    for mut at in segc_compiler::tensor::indices(shape) {
        let row = &rows[at[axis]];
        for tap in 0..taps {
            let entry = row.get(tap);
            at[axis] = entry.map_or(0, |(from, _)| *from);
            places.push(entry.map_or(zero, |_| segc_compiler::tensor::offset(x, &at)));
            weights.push(entry.map_or(0.0, |(_, weight)| *weight));
        }
    }
    if taps == 1 && weights.iter().zip(&places).all(|(weight, place)| *weight == 1.0 || *place == zero) {
        return Ok(Step::Move(index(places)?));
    }
    Ok(Step::Mix { from: index(places)?, weights, taps })
}

fn reduced(x: &[usize], join: Join, over: &[usize], index: impl Fn(Vec<usize>) -> Result<Index, String>) -> Result<Step, String> {
    let (rows, columns) = (index(layout::rows(x, over))?, over.iter().map(|&axis| x[axis]).product());
    Ok(match join {
        Join::Sum => Step::Sum { rows, columns },
        Join::Max | Join::Min => Step::Extreme { rows, columns, join },
    })
}

fn pooled(
    x: &[usize],
    shape: &[usize],
    window: &Window,
    place: bool,
    index: impl Fn(Vec<usize>) -> Result<Index, String>,
) -> Result<Step, String> {
    let (places, columns) = (layout::windows(x, shape, window), window.size.iter().product());
    let picture: usize = x[x.len() - 2..].iter().product();
    let names = places.iter().map(|place| (place % picture) as f64).collect();
    let rows = index(places)?;
    Ok(if place { Step::Place { rows, columns, names } } else { Step::Extreme { rows, columns, join: Join::Max } })
}

fn contracted(
    [a, b, result]: [&[u8]; 3],
    operands: &[&[usize]],
    index: impl Fn(Vec<usize>) -> Result<Index, String>,
) -> Result<Step, String> {
    let size = |letter: u8| {
        let sizes = a.iter().zip(operands[0]).chain(b.iter().zip(operands[1]));
        sizes.filter(|(l, _)| **l == letter).map(|(_, size)| *size).next().unwrap_or(1)
    };
    let letters = Letters::new(a, b, result);
    let count = |group: &[u8]| group.iter().map(|&l| size(l)).product::<usize>();
    let along = |last: &[u8]| [&letters.batch, &letters.summed, last].concat();
    let made = [&letters.batch[..], &letters.left, &letters.right].concat();
    let made_shape: Vec<usize> = made.iter().map(|&l| size(l)).collect();
    Ok(Step::Product {
        left: index(layout::lettered(a, operands[0], &along(&letters.left), size))?,
        right: index(layout::lettered(b, operands[1], &along(&letters.right), size))?,
        sizes: [&letters.batch, &letters.summed, &letters.left, &letters.right].map(|group| count(group)),
        result: index(layout::lettered(&made, &made_shape, result, size))?,
    })
}

/// Convolution by gathering: `[g, c k k, n h w]` times `[g, c k k, o]`.
fn convolved(
    operands: &[&[usize]],
    shape: &[usize],
    slide: &Slide,
    index: impl Fn(Vec<usize>) -> Result<Index, String>,
) -> Result<Step, String> {
    let [x, w] = operands else { return Err("a convolution has two operands".into()) };
    let (g, o, spots) = (slide.groups, shape[1] / slide.groups.max(1), shape[2] * shape[3]);
    // As if the weight was not turned.
    let w = &if slide.turned { [w[1], w[0], w[2], w[3]] } else { [w[0], w[1], w[2], w[3]] };
    let taps: usize = w[1..].iter().product();
    let weights = match slide.turned {
        true => layout::turned(w),
        false => layout::stepped(&[g, taps, o], &[o * taps, 1, taps], 0),
    };
    Ok(Step::Product {
        left: index(layout::columns(x, w, shape, slide))?,
        right: index(weights)?,
        sizes: [g, taps, shape[0] * spots, o],
        result: index(layout::stepped(&[shape[0], g, o, spots], &[spots * o, shape[0] * spots * o, 1, o], 0))?,
    })
}

/// What a step is given.
pub(super) struct Call<'a, E: Real> {
    pub operands: &'a [Flat<E>],
    /// Sizes of the operands.
    pub shapes: &'a [&'a [usize]],
    /// Sizes of the result.
    pub shape: &'a [usize],
    /// Through which operands a gradient goes.
    pub wanted: &'a [bool],
    /// The inputs of the run.
    pub inputs: &'a [Vec<E>],
}

impl Step {
    /// Runs it.
    pub fn run<E: Real>(&self, call: &Call<E>, tape: &mut Tape<E>) -> Result<Flat<E>, String>
    where
        Cpu: Device<E>,
    {
        let x = || call.operands.first().ok_or_else(|| String::from("an op without operand"));
        match self {
            Step::Input(number) => tape.value(call.inputs.get(*number).cloned().ok_or("an input is missing")?),
            Step::Known(elements) => tape.value(elements.iter().map(|e| E::of(*e)).collect()),
            Step::Map(function) => tape.map(*function, call.operands, call.wanted),
            Step::Same => tape.again(x()?),
            Step::Move(places) => padded(tape, call.operands, places, 0.0),
            Step::Mix { from, weights, taps } => mixed(tape, x()?, from, weights, *taps),
            Step::Sum { rows, columns } => {
                let rows = tape.gather(x()?, rows)?;
                tape.sum(&rows, *columns)
            }
            Step::Extreme { rows, columns, join } => {
                let rows = padded(tape, call.operands, rows, f64::NEG_INFINITY)?;
                let winners = winners(tape, &rows, *columns, *join)?;
                let count = winners.len();
                let winners = tape.device.try_tensor_from_vec(winners, (count,)).map_err(refused)?;
                tape.gather(&rows, &winners)
            }
            Step::Place { rows, columns, names } => {
                let rows = padded(tape, call.operands, rows, f64::NEG_INFINITY)?;
                let winners = winners(tape, &rows, *columns, Join::Max)?;
                tape.value(winners.into_iter().map(|winner| E::of(names[winner])).collect())
            }
            Step::Product { left, right, sizes, result } => product(tape, call.operands, [left, right, result], *sizes),
            Step::Lookup(lookup) => looked_up(*lookup, call, tape),
            Step::Host(algorithm, numbers) => {
                let values = |x: &Flat<E>| x.as_vec().into_iter().map(|x| x.wide() as f32).collect();
                let array = |(x, shape): (&Flat<E>, &&[usize])| Array { shape: shape.to_vec(), values: values(x) };
                let arrays: Vec<Array> = call.operands.iter().zip(call.shapes).map(array).collect();
                tape.value(algorithm(&arrays, numbers).values.into_iter().map(|x| E::of(x.into())).collect())
            }
            Step::Defined(op) => {
                let tensor = |(x, shape): (&Flat<E>, &&[usize])| Tensor::new(shape.to_vec(), x.as_vec().into_iter().map(E::wide).collect());
                let operands: Vec<Tensor> = call.operands.iter().zip(call.shapes).map(tensor).collect();
                let made = op.reference(&operands.iter().collect::<Vec<_>>(), call.shape);
                tape.value(made.data.into_iter().map(E::of).collect())
            }
        }
    }
}

/// Elements gathered from operands that lie one behind the other, `pad` behind them.
fn padded<E: Real>(tape: &mut Tape<E>, operands: &[Flat<E>], places: &Index, pad: f64) -> Result<Flat<E>, String>
where
    Cpu: Device<E>,
{
    let joined = tape.joined(operands, Some(pad))?;
    tape.gather(&joined, places)
}

fn mixed<E: Real>(tape: &mut Tape<E>, x: &Flat<E>, from: &Index, weights: &[f64], taps: usize) -> Result<Flat<E>, String>
where
    Cpu: Device<E>,
{
    let terms = padded(tape, std::slice::from_ref(x), from, 0.0)?;
    let weights = tape.value(weights.iter().map(|w| E::of(*w)).collect())?;
    let terms = tape.one(terms, |terms| terms.try_mul(weights))?;
    tape.sum(&terms, taps)
}

/// Where the first largest or smallest element of each row stands. dfdx's own maximum would send the gradient to all that tie.
fn winners<E: Real>(tape: &mut Tape<E>, rows: &Flat<E>, columns: usize, join: Join) -> Result<Vec<usize>, String>
where
    Cpu: Device<E>,
{
    let extremes = tape.constant(|tape| tape.extreme(rows, columns, join))?.as_vec();
    let elements = rows.as_vec();
    let first = |(row, extreme): (usize, &E)| {
        let own = &elements[row * columns..(row + 1) * columns];
        row * columns + own.iter().position(|x| x == extreme).unwrap_or(0)
    };
    Ok(extremes.iter().enumerate().map(first).collect())
}

fn product<E: Real>(
    tape: &mut Tape<E>,
    operands: &[Flat<E>],
    [left, right, result]: [&Index; 3],
    sizes: [usize; 4],
) -> Result<Flat<E>, String>
where
    Cpu: Device<E>,
{
    let [a, b] = operands else { return Err("a product has two operands".into()) };
    let left = padded(tape, std::slice::from_ref(a), left, 0.0)?;
    let right = tape.gather(b, right)?;
    let made = tape.product(&left, &right, sizes)?;
    tape.gather(&made, result)
}

fn looked_up<E: Real>(lookup: Lookup, call: &Call<E>, tape: &mut Tape<E>) -> Result<Flat<E>, String>
where
    Cpu: Device<E>,
{
    let ([x, at, ..], [shape, ..]) = (call.operands, call.shapes) else { return Err("a place is missing".into()) };
    let numbers = |x: &Flat<E>| x.as_vec().into_iter().map(E::wide).collect::<Vec<f64>>();
    let at = numbers(at);
    let (places, taps) = match lookup {
        Lookup::Pick(axis) => {
            let last = shape[axis].saturating_sub(1);
            let at = at.first().copied().unwrap_or(0.0).max(0.0) as usize;
            (layout::picked(shape, axis, at.min(last)), 1)
        }
        Lookup::Gather(batch) => (layout::looked_up(shape, batch, &at), 1),
        Lookup::Shift(batch) => {
            let down = call.operands.get(2).map(numbers).unwrap_or_default();
            (layout::shifted(shape, batch, &at, &down), 1)
        }
        Lookup::Scatter(batch) => layout::scattered(call.shape, batch, &at),
    };
    let count = places.len();
    let places = tape.device.try_tensor_from_vec(places, (count,)).map_err(refused)?;
    let found = padded(tape, std::slice::from_ref(x), &places, 0.0)?;
    if taps == 1 { Ok(found) } else { tape.sum(&found, taps) }
}
