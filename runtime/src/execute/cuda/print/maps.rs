//! Maps along axes: reductions over any of them, sparse matrices, windows, places of the largest, tables of numbers.

use segc_compiler::kernel::{Join, Rows, Whole, Window};
use segc_compiler::tensor::{Tensor, strides};

use super::Argument;
use super::index::{Axis, formula, sum};
use super::parts::{around, each};
use super::reduction::{Joined, Reduction, Term};
use super::text::{Function, Text, number};

/// Entries that are summed in single precision.
const SHORT: usize = 16;

/// A reduction over any axes.
pub(super) fn reduce(text: &mut Text, whole: &Whole, join: Join, over: &[usize]) {
    let (at, shape) = &whole.operands[0];
    let steps = strides(shape);
    let list = |reduced: bool| -> Vec<Axis> {
        (0..shape.len()).filter(|axis| over.contains(axis) == reduced).map(|axis| (shape[axis], steps[axis])).collect()
    };
    let (kept, joined) = (list(false), list(true));
    let mut function = Function::default();
    let from = function.from(*at);
    let last = (0..shape.len()).rev().find(|axis| shape[*axis] > 1);
    let reduction = Reduction {
        results: kept.iter().map(|axis| axis.0).product(),
        length: joined.iter().map(|axis| axis.0).product(),
        side_by_side: last.is_some_and(|axis| !over.contains(&axis)),
        place: "s".into(),
        inside: String::new(),
        lines: format!("const float x = {from}[{}];", sum(&[formula("s", &kept), formula("j", &joined)])),
        joined: vec![Joined { join, term: Term::Value("x".into()), to: Argument::At(whole.result.0) }],
    };
    reduction.print(text, "reduce", function);
}

/// A sparse matrix along an axis.
pub(super) fn resample(text: &mut Text, whole: &Whole, axis: usize, rows: &Rows) {
    let [_, size, inner] = around(&whole.operands[0].1, axis);
    let made = rows.len().max(1);
    let place = format!("const index_t row = i / {inner}u % {made}u;");
    let first = format!("const index_t first = i / {}u * {}u + i % {inner}u;", inner * made, size * inner);
    let picks: Option<Vec<u32>> = rows.iter().map(|row| if let [(at, 1.0)] = row[..] { Some(at as u32) } else { None }).collect();
    let mut function = Function::default();
    let from = function.from(whole.operands[0].0);
    let to = function.writes(Argument::At(whole.result.0));
    let elements = whole.result.1.iter().product();
    let (blocks, threads) = super::text::blocks(elements);
    function.line(super::text::element("i", elements, threads));
    function.line(format!("{place}\n{first}"));
    if let Some(picks) = picks {
        let table = text.table(picks);
        let table = function.reads(table);
        function.line(format!("{to}[i] = {from}[first + {table}[row] * {inner}u];"));
        return text.launch("pick", function, blocks, threads);
    }
    let mut starts = vec![0];
    rows.iter().for_each(|row| starts.push(starts[starts.len() - 1] + row.len() as u32));
    let entries = rows.iter().flatten().flat_map(|(at, weight)| [*at as u32, (*weight as f32).to_bits()]).collect();
    let long = rows.iter().any(|row| row.len() > SHORT);
    let [starts, entries] = [text.table(starts), text.table(entries)].map(|table| function.reads(table));
    let (kind, sum) = match long {
        true => ("double", "sum += (double)weight * (double)x;"),
        false => ("float", "sum = fmaf(x, weight, sum);"),
    };
    function.line(format!("{kind} sum = 0;\nfor (unsigned n = {starts}[row]; n < {starts}[row + 1u]; ++n) {{"));
    function.line(format!("    const float x = {from}[first + {entries}[2u * n] * {inner}u];"));
    function.line(format!("    const float weight = __uint_as_float({entries}[2u * n + 1u]);\n    {sum}\n}}\n{to}[i] = (float)sum;"));
    text.launch("resample", function, blocks, threads);
}

/// The largest of windows over the last two axes, or where it stands.
pub(super) fn max_pool(text: &mut Text, whole: &Whole, window: &Window, place: bool) {
    let (shape, made) = (&whole.operands[0].1, &whole.result.1);
    let last = shape.len() - 2;
    let [height, width] = [shape[last], shape[last + 1]];
    let [rows, columns] = [made[last], made[last + 1]];
    let span = |name: &str, at: String, axis: usize, size: usize| {
        let (stride, pad, taps) = (window.stride[axis], window.pad[2 * axis], window.size[axis]);
        format!(
            "const int {name} = (int)({at}) * {stride} - {pad};\n\
             const int {name}_first = {name} > 0 ? {name} : 0, {name}_end = {name} + {taps} < {size} ? {name} + {taps} : {size};"
        )
    };
    each(text, "max_pool", whole, |x, to| {
        let from = format!("const float *from = {} + i / {}u * {}u;", x[0], rows * columns, height * width);
        let down = span("down", format!("i / {columns}u % {rows}u"), 0, height);
        let right = span("right", format!("i % {columns}u"), 1, width);
        let best = format!("int place = down_first * {width} + right_first;\nfloat best = from[place];");
        let step = format!(
            "        if (from[row * {width} + column] > best) {{\n            place = row * {width} + column;\n            \
             best = from[place];\n        }}"
        );
        let inner = format!("    for (int column = right_first; column < right_end; ++column) {{\n{step}\n    }}");
        let outer = format!("for (int row = down_first; row < down_end; ++row) {{\n{inner}\n}}");
        let made = if place { "(float)place" } else { "best" };
        format!("{from}\n{down}\n{right}\n{best}\n{outer}\n{to}[i] = {made};")
    });
}

/// The place of the first largest element along an axis; NaN never wins.
pub(super) fn arg_max(text: &mut Text, whole: &Whole, axis: usize) {
    let [_, size, inner] = around(&whole.operands[0].1, axis);
    each(text, "arg_max", whole, |x, to| {
        let first = format!("const index_t first = i / {inner}u * {}u + i % {inner}u;", size * inner);
        let best = format!("unsigned place = 0u;\nfloat best = {};", number(f32::NEG_INFINITY));
        let next = format!("    const float x = {}[first + n * {inner}u];", x[0]);
        let step = format!("{next}\n    if (x > best) {{\n        best = x;\n        place = n;\n    }}");
        format!("{first}\n{best}\nfor (unsigned n = 0u; n < {size}u; ++n) {{\n{step}\n}}\n{to}[i] = (float)place;")
    });
}

/// The numbers of an op without operands.
pub(super) fn numbers(text: &mut Text, whole: &Whole, values: &Tensor) {
    let singles: Vec<f32> = values.data.iter().map(|value| *value as f32).collect();
    if singles.iter().enumerate().all(|(at, value)| *value == at as f32) {
        return each(text, "iota", whole, |_, to| format!("{to}[i] = (float)i;"));
    }
    let table = text.table(singles.iter().map(|value| value.to_bits()).collect());
    let mut function = Function::default();
    let (from, to) = (function.reads(table), function.writes(Argument::At(whole.result.0)));
    let (blocks, threads) = super::text::blocks(singles.len());
    function.line(super::text::element("i", singles.len(), threads));
    function.line(format!("{to}[i] = __uint_as_float({from}[i]);"));
    text.launch("numbers", function, blocks, threads);
}
