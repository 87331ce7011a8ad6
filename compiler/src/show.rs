//! Stages as text: stable, one line a value, the place in the spec at the end; and graphs as dot.

use std::fmt::Write;

use segc_lang::source::{Sources, Span};

use crate::fuse::Kernels;
use crate::graph::{Graph, NodeId};
use crate::kernel::{Access, Effect, Instruction, Kernel, Loop, Operand, Over, Place, Scalar, Tap};
use crate::ops::Form;
use crate::plan::Program;

/// So many buffers are named where a program needs most memory.
const LARGEST: usize = 12;

/// A graph: number, op with attributes, operands, sizes, place.
pub fn graph(graph: &Graph, sources: &Sources) -> String {
    let mut text = String::new();
    for (number, leaf) in graph.leaves.iter().enumerate() {
        _ = writeln!(text, "input {number}: {leaf:?}");
    }
    let live = graph.live();
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        let operands: Vec<_> = graph.operands(id).iter().map(|o| format!("%{}", o.index())).collect();
        let left = format!("%{} = {}({})", id.index(), op(graph, id), operands.join(", "));
        let place = node.span.map_or(String::new(), |span| self::place(sources, span));
        _ = writeln!(text, "{left:<72} {:<16} {place}", format!("{:?}", node.shape));
    }
    for (name, id) in &graph.outputs {
        _ = writeln!(text, "output {name}: %{}", id.index());
    }
    text
}

/// Kernels over the values of the graph.
pub fn kernels(kernels: &Kernels) -> String {
    let mut text = String::new();
    for (number, kernel) in kernels.list.iter().enumerate() {
        _ = writeln!(text, "kernel {number}");
        one_kernel(&mut text, kernel, |id| format!("%{}", id.index()));
    }
    text
}

/// A program: inputs, kernels with places, outputs, cost.
pub fn program(program: &Program) -> String {
    let mut text = String::new();
    let cost = program.cost();
    _ = writeln!(
        text,
        "{} kernels, {:.3} MFLOP, {:.3} MB moved, arena {:.3} MB",
        cost.kernels,
        cost.flop as f64 / 1e6,
        cost.bytes as f64 / 1e6,
        cost.arena as f64 / 1e6
    );
    fullest(&mut text, program);
    for (number, (leaf, shape)) in program.inputs.iter().enumerate() {
        _ = writeln!(text, "input {number}: {leaf:?} {shape:?}");
    }
    for (number, kernel) in program.kernels.iter().enumerate() {
        _ = writeln!(text, "kernel {number}");
        one_kernel(&mut text, kernel, place_name);
    }
    for (name, at, shape) in &program.outputs {
        _ = writeln!(text, "output {name}: {} {shape:?}", place_name(*at));
    }
    text
}

/// When the most of the arena is taken, and by what.
fn fullest(text: &mut String, program: &Program) {
    let (kernel, buffers) = program.fullest();
    let mb = |elements: usize| 4e-6 * elements as f64;
    let all = mb(buffers.iter().map(|buffer| buffer.elements).sum());
    _ = writeln!(text, "fullest at kernel {kernel}: {all:.3} MB in {} buffers", buffers.len());
    for buffer in buffers.iter().take(LARGEST) {
        let until = if buffer.last == usize::MAX { "the end".to_owned() } else { format!("kernel {}", buffer.last) };
        let what = format!("{} {:?}", program.graph.node(buffer.node).op.name(), program.graph.shape(buffer.node));
        _ = writeln!(text, "  {:.3} MB from kernel {} to {until}: {what}", mb(buffer.elements), buffer.first);
    }
}

/// A kernel in a few words: op and sizes, or the space of a loop and how much it does there.
pub fn short(kernel: &Kernel) -> String {
    match kernel {
        Kernel::Whole(whole) => {
            let operands: Vec<_> = whole.operands.iter().map(|(_, shape)| format!("{shape:?}")).collect();
            format!("{} {} -> {:?}", whole.op.name(), operands.join(" "), whole.result.1)
        }
        Kernel::Loop(body) => {
            let [outer, rows, columns] = body.space;
            let reduces = body.effects.iter().any(|effect| matches!(effect, Effect::Reduce { .. }));
            let what = if reduces { "loop with sums" } else { "loop" };
            format!("{what} {outer} x {rows} x {columns}, {} instructions, {} results", body.body.len(), body.effects.len())
        }
    }
}

/// A graph for graphviz.
pub fn dot(graph: &Graph) -> String {
    let mut text = String::from("digraph {\n  node [shape=box, fontname=\"monospace\"];\n");
    let live = graph.live();
    for id in graph.ids().filter(|id| live[id.index()]) {
        let label = format!("{} {:?}", op(graph, id), graph.shape(id)).replace('"', "'");
        _ = writeln!(text, "  n{} [label=\"{label}\"];", id.index());
        for operand in graph.operands(id) {
            _ = writeln!(text, "  n{} -> n{};", operand.index(), id.index());
        }
    }
    for (number, (name, id)) in graph.outputs.iter().enumerate() {
        _ = writeln!(text, "  out{number} [label=\"{}\", shape=oval];\n  n{} -> out{number};", name.replace('"', "'"), id.index());
    }
    text + "}\n"
}

/// Name and attributes, short.
fn op(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    let name = node.op.name();
    match node.op.form() {
        Form::Input(number) => format!("{name} {number}"),
        Form::Constant(value) => format!("{value}"),
        Form::Expand(places) => format!("{name} {places:?}"),
        Form::Pick(axis, at) => format!("{name} {axis}: {at}"),
        Form::Reduce(_, over) => format!("{name} {over:?}"),
        Form::Stencil(taps) => format!("{name} {}", self::taps(&taps)),
        Form::Map(_) | Form::Reshape => name.to_owned(),
        _ => {
            let debug = format!("{:?}", node.op);
            debug.split_once([' ', '(']).map_or(name.to_owned(), |(_, rest)| format!("{name} {}", rest.trim_end_matches(')')))
        }
    }
}

fn taps(taps: &[Tap]) -> String {
    let one = |tap: &Tap| format!("{:.6}@{},{}", tap.weight, tap.down, tap.right);
    match taps {
        [only] => format!("[{}]", one(only)),
        [first, .., last] => format!("[{} .. {}; {} taps]", one(first), one(last), taps.len()),
        [] => "[]".to_owned(),
    }
}

fn place_name(place: Place) -> String {
    match place {
        Place::Input(number) => format!("input {number}"),
        Place::Arena(at) => format!("@{at}"),
        Place::Result(number) => format!("result {number}"),
    }
}

fn one_kernel<P: Copy>(text: &mut String, kernel: &Kernel<P>, name: impl Fn(P) -> String) {
    match kernel {
        Kernel::Whole(whole) => {
            let operands: Vec<_> = whole.operands.iter().map(|(at, shape)| format!("{} {shape:?}", name(*at))).collect();
            _ = writeln!(text, "  whole {}({}) -> {} {:?}", whole.op.name(), operands.join(", "), name(whole.result.0), whole.result.1);
        }
        Kernel::Loop(body) => one_loop(text, body, name),
    }
}

fn one_loop<P: Copy>(text: &mut String, body: &Loop<P>, name: impl Fn(P) -> String) {
    let [outer, rows, columns] = body.space;
    _ = writeln!(text, "  loop {outer} x {rows} x {columns}");
    for (number, scalar) in body.scalars.iter().enumerate() {
        let value = match scalar {
            Scalar::Number(value) => format!("{value}"),
            Scalar::At(at, element) => format!("{}[{element}]", name(*at)),
        };
        _ = writeln!(text, "    s{number} = {value}");
    }
    let access = |a: &Access<P>| format!("{} from {:?} step {}, {}", name(a.place), a.outer.first().unwrap_or(&0), a.rows, a.columns);
    let operand = |o: &Operand| match o {
        Operand::Value(value) => format!("v{value}"),
        Operand::Scalar(scalar) => format!("s{scalar}"),
    };
    for (number, instruction) in body.body.iter().enumerate() {
        let what = match instruction {
            Instruction::Splat(scalar) => format!("splat s{scalar}"),
            Instruction::Load(a) => format!("load {}", access(a)),
            Instruction::LoadStencil(a, list) => format!("stencil {} over {}", taps(list), access(a)),
            Instruction::RowStencil(value, list) => format!("stencil {} in rows of v{value}", taps(list)),
            Instruction::Apply(function, operands) => {
                format!("{function:?} {}", operands.iter().map(operand).collect::<Vec<_>>().join(", ")).to_lowercase()
            }
        };
        _ = writeln!(text, "    v{number} = {what}");
    }
    for effect in &body.effects {
        _ = match effect {
            Effect::Store(value, a) => writeln!(text, "    store v{value} -> {}", access(a)),
            Effect::Reduce { value, join, result, over } => {
                let how = match over {
                    Over::All => "all",
                    Over::Rows => "rows and columns",
                    Over::Columns => "columns",
                };
                writeln!(text, "    {} of v{value} over {how} -> {}", format!("{join:?}").to_lowercase(), name(*result))
            }
        };
    }
}

fn place(sources: &Sources, span: Span) -> String {
    let (line, _) = sources.line_column(span);
    format!("{}:{line}", sources.get(span.source).name)
}
