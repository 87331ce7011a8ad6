//! Moved elements: axes in another order, parts of axes, elements at places that are known at run time, whole pictures moved.

use segc_compiler::kernel::{Place, Whole};
use segc_compiler::tensor::strides;

use super::Argument;
use super::index::{Axis, formula, sum};
use super::text::{Function, THREADS, Text, blocks, element, filled};

/// Elements of a permutation that are worth tiles.
const TILED: usize = 2048;

/// Places of both axes that tiles turn.
const SIDE: usize = 8;

/// Operands that one launch joins.
const JOINED: usize = 16;

/// Sizes of the axes before an axis, of itself, and behind it.
pub(super) fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// A kernel with a thread for each result, whose statements set `to[i]`. They are made from the parameters of the operands and of the
/// result.
pub(super) fn each(text: &mut Text, kind: &str, whole: &Whole, statements: impl FnOnce(&[String], &str) -> String) {
    let elements = whole.result.1.iter().product();
    let mut function = Function::default();
    let operands: Vec<String> = whole.operands.iter().map(|(at, _)| function.from(*at)).collect();
    let to = function.writes(Argument::At(whole.result.0));
    let (blocks, threads) = blocks(elements);
    function.line(element("i", elements, threads));
    function.line(statements(&operands, &to));
    text.launch(kind, function, blocks, threads);
}

/// Axes in another order.
pub(super) fn permute(text: &mut Text, whole: &Whole, order: &[usize]) {
    let shape = &whole.operands[0].1;
    let steps = strides(shape);
    let axes: Vec<Axis> = order.iter().map(|&axis| (shape[axis], steps[axis])).filter(|(size, _)| *size != 1).collect();
    let elements: usize = shape.iter().product();
    let turned = axes.iter().position(|(_, step)| *step == 1);
    match (axes.last(), turned) {
        (Some(&last), Some(turned)) if elements >= TILED && last.1 != 1 && last.0 >= SIDE && axes[turned].0 >= SIDE => {
            turn(text, whole, &axes, turned);
        }
        _ => each(text, "permute", whole, |from, to| format!("{to}[i] = {}[{}];", from[0], formula("i", &axes))),
    }
}

/// Tiles of the last axis and of the one along which the operand is contiguous, turned in shared memory.
fn turn(text: &mut Text, whole: &Whole, axes: &[Axis], turned: usize) {
    let sizes: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
    let to_steps = strides(&sizes);
    let last = axes.len() - 1;
    let others: Vec<usize> = (0..last).filter(|axis| *axis != turned).collect();
    let [size, height] = [axes[last].0, axes[turned].0];
    let (across, down) = (size.div_ceil(32), height.div_ceil(32));
    let count: usize = others.iter().map(|axis| axes[*axis].0).product();
    let mut function = Function::default();
    let from = function.from(whole.operands[0].0);
    let to = function.writes(Argument::At(whole.result.0));
    let along = |steps: &dyn Fn(usize) -> usize| formula("other", &others.iter().map(|at| (axes[*at].0, steps(*at))).collect::<Vec<_>>());
    let words = [
        ("ACROSS", across.to_string()),
        ("DOWN", down.to_string()),
        ("PLANE", (across * down).to_string()),
        ("TURNED", height.to_string()),
        ("SIZE", size.to_string()),
        ("STEP", axes[last].1.to_string()),
        ("TO_STEP", to_steps[turned].to_string()),
        ("FROM_OTHER", along(&|at| axes[at].1)),
        ("TO_OTHER", along(&|at| to_steps[at])),
        ("FROM", from),
        ("TO", to),
    ];
    function.line(filled(include_str!("turn.cuh"), &words));
    function.waits();
    text.launch("turn", function, across * down * count, THREADS);
}

/// Operands one after the other along an axis.
pub(super) fn concat(text: &mut Text, whole: &Whole, axis: usize) {
    let [outer, total, inner] = around(&whole.result.1, axis);
    let mut from = 0;
    for some in whole.operands.chunks(JOINED) {
        let mut function = Function::default();
        let some = some.iter().filter(|(_, shape)| shape[axis] > 0);
        let parts: Vec<(String, usize)> = some.map(|(at, shape)| (function.from(*at), shape[axis] * inner)).collect();
        let to = function.writes(Argument::At(whole.result.0));
        let run: usize = parts.iter().map(|(_, run)| run).sum();
        let (blocks, threads) = blocks(outer * run);
        function.line(element("i", outer * run, threads));
        let to = format!("{to}[{}]", sum(&[format!("{from}u"), formula("i", &[(outer, total * inner), (run, 1)])]));
        function.line(format!("const index_t outer = i / {}u, at = i % {}u;", run.max(1), run.max(1)));
        let mut start = 0;
        for (part, own) in &parts {
            let condition = if start == 0 { "if" } else { "} else if" };
            function.line(format!("{condition} (at < {}u) {{\n    {to} = {part}[outer * {own}u + (at - {start}u)];", start + own));
            start += own;
        }
        function.line("}");
        text.launch("concat", function, blocks, threads);
        from += run;
    }
}

/// A part of an axis, from a place on.
pub(super) fn slice(text: &mut Text, whole: &Whole, axis: usize, from: usize) {
    let [outer, size, inner] = around(&whole.operands[0].1, axis);
    let part = whole.result.1[axis] * inner;
    let at = formula("i", &[(outer, size * inner), (part, 1)]);
    each(text, "slice", whole, |x, to| format!("{to}[i] = {}[{}];", x[0], sum(&[format!("{}u", from * inner), at])));
}

/// A part put into a longer axis of zeros.
pub(super) fn embed(text: &mut Text, whole: &Whole, axis: usize, from: usize) {
    let [_, size, inner] = around(&whole.result.1, axis);
    let (run, part) = ((size * inner).max(1), whole.operands[0].1[axis] * inner);
    each(text, "embed", whole, |x, to| {
        let at = format!("const index_t at = i % {run}u - {}u;", from * inner);
        // What lies before the part wraps round and so lies behind it as well.
        format!("{at}\n{to}[i] = at < {part}u ? {}[i / {run}u * {part}u + at] : 0.0f;", x[0])
    });
}

/// One index of an axis, given by the second operand.
pub(super) fn pick_at(text: &mut Text, whole: &Whole, axis: usize) {
    let [_, size, inner] = around(&whole.operands[0].1, axis);
    each(text, "pick", whole, |x, to| {
        let at = format!("i / {inner}u * {}u + segc_meant({}[0], {size}u) * {inner}u + i % {inner}u", size * inner, x[1]);
        format!("{to}[i] = {}[{at}];", x[0])
    });
}

/// `x: [b.., k, r..]` and `i: [b.., m..]` to `[b.., m.., r..]`.
pub(super) fn gather(text: &mut Text, whole: &Whole, batch: usize) {
    let [_, size, run] = around(&whole.operands[0].1, batch);
    let indices: usize = whole.operands[1].1[batch..].iter().product();
    each(text, "gather", whole, |x, to| {
        let place = format!("number / {indices}u * {size}u + segc_meant({}[number], {size}u)", x[1]);
        format!("const index_t number = i / {run}u;\n{to}[i] = {}[({place}) * {run}u + i % {run}u];", x[0])
    });
}

/// Comparisons of a scatter up to which every result looks at every index.
const FEW: usize = 1 << 20;

/// `x: [b.., m.., r..]` and `i: [b.., m..]` to `[b.., k, r..]`: each result adds up its own, in the order of the index. Where that takes
/// many comparisons, chains of the indices that mean the same place are made first.
pub(super) fn scatter(text: &mut Text, whole: &Whole, batch: usize) {
    let [batches, size, run] = around(&whole.result.1, batch);
    let indices: usize = whole.operands[1].1[batch..].iter().product();
    let group = format!("const index_t group = i / {}u * {indices}u;", (size * run).max(1));
    let place = format!("const unsigned place = (unsigned)(i / {run}u % {size}u);");
    let add = |x: &str| format!("sum += {x}[(group + n) * {run}u + i % {run}u];");
    if batches * size * run * indices <= FEW || indices < 2 {
        return each(text, "scatter", whole, |x, to| {
            let found = format!("if (segc_meant({}[group + n], {size}u) == place) {{\n        {}\n    }}", x[1], add(&x[0]));
            let each = format!("float sum = 0.0f;\nfor (unsigned n = 0u; n < {indices}u; ++n) {{\n    {found}\n}}");
            format!("{group}\n{place}\n{each}\n{to}[i] = sum;")
        });
    }
    let index = whole.operands[1].0;
    let next = chain(text, index, [batches, size, indices], indices);
    let head = chain(text, index, [batches, size, indices], size);
    let elements = batches * size * run;
    let mut function = Function::default();
    let [x, head, next] = [Argument::At(whole.operands[0].0), head, next].map(|at| function.reads(at));
    let to = function.writes(Argument::At(whole.result.0));
    let (blocks, threads) = blocks(elements);
    function.line(element("i", elements, threads));
    function.line(group);
    let start = format!("const index_t own = i / {run}u;\nfloat sum = 0.0f;");
    let step = format!("n = __float_as_uint({next}[group + n])");
    function.line(format!("{start}\nfor (unsigned n = __float_as_uint({head}[own]); n < {indices}u; {step}) {{\n    {}\n}}", add(&x)));
    function.line(format!("{to}[i] = sum;"));
    text.launch("scatter", function, blocks, threads);
}

/// For each place, or for each index where there are `count` of those, the first index behind it that means the same place.
fn chain(text: &mut Text, index: Place, [batches, size, indices]: [usize; 3], count: usize) -> Argument {
    let made = text.scratch(batches * count);
    let mut function = Function::default();
    let (from, to) = (function.from(index), function.writes(made));
    let (blocks, threads) = blocks(batches * count);
    function.line(element("i", batches * count, threads));
    function.line(format!("const index_t group = i / {count}u * {indices}u;\nconst unsigned own = (unsigned)(i % {count}u);"));
    let links = count == indices;
    let (place, first) = if links { (format!("segc_meant({from}[i], {size}u)"), "own + 1u") } else { ("own".into(), "0u") };
    function.line(format!("const unsigned place = {place};\nunsigned n = {first};"));
    function.line(format!("while (n < {indices}u && segc_meant({from}[group + n], {size}u) != place) {{\n    ++n;\n}}"));
    function.line(format!("{to}[i] = __uint_as_float(n);"));
    text.launch(if links { "links" } else { "heads" }, function, blocks, threads);
    made
}

/// `x: [b.., r.., h, w]` moved by whole pixels `right: [b..]` and `down: [b..]`; zeros come in.
pub(super) fn shift(text: &mut Text, whole: &Whole, batch: usize) {
    let shape = &whole.result.1;
    let last = shape.len() - 2;
    let (rows, columns) = (shape[last], shape[last + 1]);
    let together: usize = shape[batch..].iter().product();
    each(text, "shift", whole, |x, to| {
        let by = |name: &str, at: &str, size: usize, operand: &str| {
            let from = format!("const double {name} = (double)({at}) - round((double){operand}[i / {together}u]);");
            (from, format!("{name} >= 0.0 && {name} < {size}.0"))
        };
        let (row, row_inside) = by("row", &format!("i / {columns}u % {rows}u"), rows, &x[2]);
        let (column, column_inside) = by("column", &format!("i % {columns}u"), columns, &x[1]);
        let at = format!("(i / {0}u * {rows}u + (index_t)row) * {columns}u + (index_t)column", rows * columns);
        format!("{row}\n{column}\n{to}[i] = {row_inside} && {column_inside} ? {}[{at}] : 0.0f;", x[0])
    });
}
