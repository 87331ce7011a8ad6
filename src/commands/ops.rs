//! `segc ops`: the table of ops, each with its manual line, the executors that run it, its derivatives, and how exact it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use segc_compiler::kernel::Kernel;
use segc_compiler::ops::{Derivative, Entry, Exactness, Input, Sample, TABLE};
use segc_compiler::{Graph, fuse};

use crate::console::{self, Exit};

/// Prints the table.
pub fn ops() -> Exit {
    let width = TABLE.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let lines = |entry: &Entry| format!("{:<width$}  {}\n{:<width$}  {}\n", entry.name, entry.manual, "", facts(entry));
    console::out(&format!("{}{LEGEND}", TABLE.iter().map(lines).collect::<String>()));
    Exit::Done
}

const LEGEND: &str = "\nfused: in loops with other ops; alone: by a kernel of its own or by its definition.\n\
    exact, rounded: the same bits on every executor in single precision; approximate: sums and functions, up to their last bits.\n";

/// What an op is on each executor, in one line.
fn facts(entry: &Entry) -> String {
    let samples = (entry.samples)();
    let Some(first) = samples.first() else { return special(entry.name) };
    let derivative = match first.op.derivative() {
        Derivative::Every => "derivatives of every order".to_owned(),
        Derivative::None(why) => format!("no derivative: {why}"),
    };
    let classes: BTreeSet<Exactness> = samples.iter().map(|sample| sample.op.form().exactness()).collect();
    let classes: Vec<&str> = classes.into_iter().map(Exactness::name).collect();
    format!("{}; {derivative}; {}", executors(&samples).join(", "), classes.join(" or "))
}

/// Ops that a sample cannot show, since they stand for something outside of the graph.
fn special(name: &str) -> String {
    match name {
        "input" => "every executor; no derivative: it has no operands; exact".into(),
        "grad" => "expanded into ordinary ops before it runs, on dfdx by its tape; derivatives of every order; as its ops".into(),
        _ => "every executor, by an algorithm of the host; no derivative; approximate".into(),
    }
}

/// The executors that run all samples of an op.
fn executors(samples: &[Sample]) -> Vec<&'static str> {
    let cpu = if samples.iter().all(in_loops) { "cpu fused" } else { "cpu alone" };
    let second = samples.iter().all(on_dfdx).then_some("dfdx");
    [cpu, "reference"].into_iter().chain(second).collect()
}

fn in_loops(sample: &Sample) -> bool {
    let mut graph = Graph::default();
    let input = |(number, (shape, _)): (usize, &(Vec<usize>, _))| graph.add(Arc::new(Input { number, shape: shape.clone() }), &[]);
    let operands: Vec<_> = sample.operands.iter().enumerate().map(input).collect();
    let result = graph.add(sample.op.clone(), &operands);
    graph.outputs = vec![(String::new(), result)];
    fuse(&graph, true).list.iter().all(|kernel| matches!(kernel, Kernel::Loop(_)))
}

#[cfg(feature = "dfdx")]
fn on_dfdx(sample: &Sample) -> bool {
    let shapes: Vec<&[usize]> = sample.operands.iter().map(|(shape, _)| shape.as_slice()).collect();
    sample.op.shape(&shapes).is_ok_and(|shape| segc_runtime::execute::dfdx::runs(&sample.op, &shapes, &shape))
}

#[cfg(not(feature = "dfdx"))]
fn on_dfdx(_: &Sample) -> bool {
    false
}
