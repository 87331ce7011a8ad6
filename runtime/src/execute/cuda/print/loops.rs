//! Loops: a thread for each element, or the threads of a reduction.

use std::fmt::Write;

use segc_compiler::kernel::{Access, Effect, Join, Loop, Over};

use super::Argument;
use super::body::{Body, Scope, Staged, to_stage};
use super::reduction::{Joined, Reduction, Term};
use super::text::{Function, Text, blocks, element};

/// Prints a loop. A launch for each kind of reduction, of which the last one stores; it alone changes what the others read.
pub(super) fn print(text: &mut Text, body: &Loop) {
    let mut staged = Staged::new();
    for value in to_stage(body) {
        let to = stage(text, body, &staged, value);
        staged.insert(value, to);
    }
    let kinds: Vec<Over> = [Over::All, Over::Rows, Over::Columns].into_iter().filter(|over| reduces(body, *over)).collect();
    for (number, over) in kinds.iter().enumerate() {
        reduction(text, body, &staged, *over, number + 1 == kinds.len());
    }
    if kinds.is_empty() {
        elements(text, body, &staged);
    }
}

fn reduces(body: &Loop, wanted: Over) -> bool {
    body.effects.iter().any(|effect| matches!(effect, Effect::Reduce { over, .. } if *over == wanted))
}

/// Makes a value before the loop, for all elements.
fn stage(text: &mut Text, body: &Loop, staged: &Staged, value: usize) -> Argument {
    let elements = body.space.iter().product();
    let to = text.scratch(elements);
    let (mut function, mut scope) = (Function::default(), Scope::default());
    let mut printer = Body::new(body, staged, text, &mut function);
    let made = printer.value(value, &mut scope);
    let named = printer.named.iter().copied().collect::<Vec<_>>();
    let name = function.writes(to);
    whole(&mut function, body, &named, &format!("{}{name}[i] = {made};", scope.lines));
    let (blocks, threads) = blocks(elements);
    text.launch("stage", function, blocks, threads);
    to
}

/// A loop that stores only.
fn elements(text: &mut Text, body: &Loop, staged: &Staged) {
    let (mut function, mut scope) = (Function::default(), Scope::default());
    let mut printer = Body::new(body, staged, text, &mut function);
    let stores = stores(&mut printer, body, &mut scope);
    let named = printer.named.iter().copied().collect::<Vec<_>>();
    whole(&mut function, body, &named, &format!("{}{stores}", scope.lines));
    let (blocks, threads) = blocks(body.space.iter().product());
    text.launch("loop", function, blocks, threads);
}

/// The statements of all stores; none stands before a load.
fn stores(printer: &mut Body, body: &Loop, scope: &mut Scope) -> String {
    let store = |effect: &Effect| -> Option<(usize, Access)> {
        if let Effect::Store(value, access) = effect { Some((*value, access.clone())) } else { None }
    };
    let lines: Vec<String> = body.effects.iter().filter_map(store).map(|(value, access)| printer.store(value, &access, scope)).collect();
    lines.join("\n")
}

fn whole(function: &mut Function, body: &Loop, named: &[char], lines: &str) {
    let [outer, rows, columns] = body.space;
    let elements = outer * rows * columns;
    function.line(element("i", elements, blocks(elements).1));
    for name in named {
        let at = match name {
            'o' => format!("i / {}u", rows * columns),
            'r' if outer == 1 => format!("i / {columns}u"),
            'r' => format!("i / {columns}u % {rows}u"),
            _ if outer * rows == 1 => "i".into(),
            _ => format!("i % {columns}u"),
        };
        function.line(format!("const index_t {name} = {at};"));
    }
    function.line(lines);
}

/// A loop with its reductions over `over`, and its stores if they are asked for.
fn reduction(text: &mut Text, body: &Loop, staged: &Staged, over: Over, and_stores: bool) {
    let [outer, rows, columns] = body.space;
    let (results, length) = match over {
        Over::All => (1, outer * rows * columns),
        Over::Rows => (outer, rows * columns),
        Over::Columns => (outer * rows, columns),
    };
    let (mut function, mut scope) = (Function::default(), Scope::default());
    let mut printer = Body::new(body, staged, text, &mut function);
    let joins: Vec<(Join, String, Argument)> = body
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reduce { value, join, result, over: own } if *own == over => {
                Some((*join, printer.value(*value, &mut scope), Argument::At(*result)))
            }
            _ => None,
        })
        .collect();
    let stores = if and_stores { stores(&mut printer, body, &mut scope) } else { String::new() };
    let named = printer.named.iter().copied().collect::<Vec<_>>();
    let mut lines = match over {
        Over::All => "const index_t i = j;\n".to_owned(),
        _ => format!("const index_t i = s * {length}u + j;\n"),
    };
    for name in named {
        let at = match (over, name) {
            (Over::Columns, 'o') => format!("s / {rows}u"),
            (Over::Columns, 'r') => format!("s % {rows}u"),
            (Over::Columns, _) => "j".into(),
            (Over::Rows, 'o') => "s".into(),
            (_, 'o') => format!("j / {}u", rows * columns),
            (Over::All, 'r') if outer > 1 => format!("j / {columns}u % {rows}u"),
            (_, 'r') => format!("j / {columns}u"),
            (_, _) => format!("j % {columns}u"),
        };
        let _ = writeln!(lines, "const index_t {name} = {at};");
    }
    lines.push_str(&scope.lines);
    lines.push_str(&stores);
    let joined = joins.into_iter().map(|(join, value, to)| Joined { join, term: Term::Value(value), to }).collect();
    Reduction { results, length, side_by_side: false, place: "s".into(), inside: String::new(), lines, joined }.print(
        text,
        "loop_reduce",
        function,
    );
}
