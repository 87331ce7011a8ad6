//! A spec as stable text, for `segc show spec` and for tests.

mod phases;

use std::fmt::Write;

use crate::spec::{Axis, Element, Filter, Over, ParamValue, Part, Pictures, Prim, Reduction, Sliding, Spec, Step, TermId, Type};

/// The spec as text: params, data, solves, evaluations, output, terms.
pub fn show(spec: &Spec) -> String {
    let mut text = format!("spec {}\n", spec.name);
    let width = spec.params.iter().map(|param| param.name.len()).max().unwrap_or(0);
    for param in &spec.params {
        line(&mut text, format_args!("  param {:width$} = {}", param.name, param_value(&param.value)));
    }
    for data in &spec.data {
        let steps: String = data.steps.iter().map(|step| format!(" |> {}", shown_step(step))).collect();
        let (height, width) = data.size;
        line(&mut text, format_args!("  data {} [height: {height}, width: {width}] = {}{steps}", data.name, source(spec, &data.source)));
    }
    for solve in &spec.solves {
        line(&mut text, format_args!("  solve {} for {} steps", solve.name, solve.rounds));
        for member in &solve.members {
            line(&mut text, format_args!("    {}", member.name));
            for state in &member.states {
                let ty = shown_type(spec, &spec.terms.get(state.leaf).ty);
                line(
                    &mut text,
                    format_args!(
                        "      state {}: {ty} = {}, leaf {}, next {}",
                        state.name,
                        id(state.first),
                        id(state.leaf),
                        id(state.next)
                    ),
                );
            }
            for (name, term) in &member.watched {
                line(&mut text, format_args!("      watch {name} = {}", id(*term)));
            }
        }
    }
    for eval in &spec.evals {
        let labels = if eval.needs_labels { ", needs labels" } else { "" };
        let over = match eval.over {
            Over::Data(data, own) => part(spec, (data, own)),
            Over::Samples(count) => format!("{count} samples"),
        };
        line(&mut text, format_args!("  eval {} over {over}{labels}", eval.name));
        for (name, term) in &eval.values {
            let name = if name.is_empty() { "value" } else { name };
            line(&mut text, format_args!("    {name} = {}", id(*term)));
        }
    }
    for phase in &spec.phases {
        phases::shown(spec, phase, &mut text);
    }
    if let Some(output) = &spec.output {
        line(&mut text, format_args!("  output {} over {} = {}", output.name, spec.data[output.data].name, id(output.value)));
    }
    for pending in &spec.pending {
        line(&mut text, format_args!("  pending {}", pending.what));
    }
    line(&mut text, format_args!("terms {}", spec.terms.len()));
    for place in 0..spec.terms.len() {
        let term = TermId(place as u32);
        let ty = shown_type(spec, &spec.terms.get(term).ty);
        line(&mut text, format_args!("  {}: {ty} = {}", id(term), shown_term(spec, term)));
    }
    text
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing into a string does not fail.
    let _ = writeln!(text, "{what}");
}

fn id(term: TermId) -> String {
    format!("%{}", term.0)
}

fn param_value(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(value) => value.to_string(),
        ParamValue::Int(value) => value.to_string(),
        ParamValue::Real(value) => value.to_string(),
        ParamValue::Text(value) => value.clone(),
        ParamValue::List(items) => format!("[{}]", items.iter().map(param_value).collect::<Vec<_>>().join(", ")),
        ParamValue::None => "none".into(),
    }
}

fn source(spec: &Spec, source: &Pictures) -> String {
    match source {
        Pictures::Scenes { hard } => format!("{} scenes", if *hard { "hard" } else { "easy" }),
        Pictures::Folder { photos, labels, split } => {
            let named = |what: &str, name: &Option<String>| name.as_ref().map_or(String::new(), |name| format!(" {what} {name:?}"));
            format!("folder {photos:?}{}{}", named("with masks", labels), named("split by", split))
        }
        Pictures::Digits { side, from } => {
            format!("two digits {side}{}", from.as_ref().map_or(String::new(), |from| format!(" from {from:?}")))
        }
        Pictures::Collected { over, fields } => {
            let fields: Vec<String> = fields.iter().map(|(name, id)| format!("{name}: %{}", id.0)).collect();
            format!("collected {{ {} }} over {}", fields.join(", "), part(spec, *over))
        }
    }
}

fn filter(by: Filter) -> &'static str {
    match by {
        Filter::Nearest => "nearest",
        Filter::Bilinear => "bilinear",
        Filter::Bicubic => "bicubic",
    }
}

fn shown_step(step: &Step) -> String {
    match step {
        Step::ShorterSide { side, by } => format!("shorter_side {side} {}", filter(*by)),
        Step::Resize { side, by } => format!("resize {side} {}", filter(*by)),
        Step::CenterCrop { side } => format!("center_crop {side}"),
        Step::SquareCrop => "square_crop".into(),
        Step::Range { low, high } => format!("range {low}..{high}"),
        Step::RandomCrop { side } => format!("random_crop {side}"),
        Step::RandomResizedCrop { side, scale, ratio, by } => {
            format!("random_resized_crop {side} scale {}..{} ratio {}..{} {}", scale.0, scale.1, ratio.0, ratio.1, filter(*by))
        }
        Step::Normalise { mean, deviation } => format!("normalise {mean:?} {deviation:?}"),
        Step::Flip { chance } => format!("flip {chance}"),
        Step::Chunk { number, of } => format!("chunk {number} of {of}"),
        Step::Most { count, by } => format!("most {count} by {by}"),
    }
}

fn part(spec: &Spec, (data, part): (usize, Part)) -> String {
    let name = &spec.data[data].name;
    match part {
        Part::Whole => name.clone(),
        Part::Train => format!("{name}.train"),
        Part::Valid => format!("{name}.valid"),
        Part::Test => format!("{name}.test"),
    }
}

fn shown_type(spec: &Spec, ty: &Type) -> String {
    let element = match ty.element {
        Element::Real => "real",
        Element::Int => "int",
        Element::Bool => "bool",
    };
    if ty.axes.is_empty() {
        return element.to_string();
    }
    let axes: Vec<_> = ty.axes.iter().map(|(axis, size)| format!("{}: {size}", name(spec, *axis))).collect();
    format!("{element}[{}]", axes.join(", "))
}

fn name(spec: &Spec, axis: Axis) -> &str {
    &spec.axes[usize::from(axis.0)]
}

fn names(spec: &Spec, axes: &[Axis]) -> String {
    axes.iter().map(|axis| name(spec, *axis)).collect::<Vec<_>>().join(", ")
}

fn shown_term(spec: &Spec, term: TermId) -> String {
    let term = spec.terms.get(term);
    let args = term.args.iter().map(|arg| id(*arg)).collect::<Vec<_>>().join(" ");
    let head = match &term.prim {
        Prim::Const(value) => return value.to_string(),
        Prim::Field { data, field } => return format!("{}.{field}", spec.data[*data].name),
        Prim::Averaged(number) => format!("average {}", spec.weights[*number].path),
        Prim::State { solve, member, state } => {
            let member = spec.solves.get(*solve).and_then(|solve| solve.members.get(*member));
            let state = member.and_then(|member| member.states.get(*state).map(|state| (member, state)));
            return state.map_or_else(|| "state".into(), |(member, state)| format!("state {}.{}", member.name, state.name));
        }
        Prim::Solved { solve, member } => {
            let member = spec.solves.get(*solve).and_then(|solve| solve.members.get(*member));
            format!("solved {}", member.map_or("", |member| &member.name))
        }
        Prim::Unary(op) => word(op),
        Prim::Binary(op) => word(op),
        Prim::Where => "where".into(),
        Prim::Reduce(how, axes) => {
            let how = match how {
                Reduction::Sum => "sum",
                Reduction::Max => "max",
                Reduction::Min => "min",
            };
            format!("{how} over {}", names(spec, axes))
        }
        Prim::ArgMax(axis) => format!("argmax over {}", name(spec, *axis)),
        Prim::Order(axis) => format!("order along {}", name(spec, *axis)),
        Prim::Dot(axes) => format!("dot over {}", names(spec, axes)),
        Prim::Index(axis) => format!("index {}", name(spec, *axis)),
        Prim::Spread => "spread".into(),
        Prim::Stack(axis) => format!("stack as {}", name(spec, *axis)),
        Prim::Concat(axis) => format!("concat along {}", name(spec, *axis)),
        Prim::Pick(axis, at) => format!("pick {}: {at}", name(spec, *axis)),
        Prim::PickAt(axis) => format!("pick {}", name(spec, *axis)),
        Prim::Slice(axis, from) => format!("slice {} from {from}", name(spec, *axis)),
        Prim::Rename(from, to) => format!("rename {} to {}", name(spec, *from), name(spec, *to)),
        Prim::Split(from, to) => {
            let to: Vec<_> = to.iter().map(|(axis, size)| format!("{}: {size}", name(spec, *axis))).collect();
            format!("split {} to {}", name(spec, *from), to.join(", "))
        }
        Prim::Merge(from, to) => format!("merge {} to {}", names(spec, from), name(spec, *to)),
        Prim::Translate { .. } => "translate".into(),
        Prim::Stop => "stop".into(),
        Prim::Grad => "grad".into(),
        Prim::Draw { from, path, .. } => format!("draw {} {path}", word(from)),
        Prim::Host { name, numbers } => {
            format!("host {name}{}", numbers.iter().map(|number| format!(" {number}")).collect::<String>())
        }
        Prim::Average { data, part: which } => format!("average over {}", part(spec, (*data, *which))),
        Prim::Oracle => "oracle".into(),
        Prim::Along(axis, map) => format!("along {} {map:?}", name(spec, *axis)),
        Prim::Conv2d(sliding) => format!("conv2d {}", slide(sliding)),
        Prim::Conv2dTransposed(sliding) => format!("conv2d_transposed {}", slide(sliding)),
        Prim::MaxPool { window, stride, pad } => format!("max_pool {window:?} stride {stride:?} pad {pad:?}"),
        Prim::Weight(number) => format!("weight {}", spec.weights.get(*number).map_or("", |weight| &weight.path)),
        Prim::Buffer { buffer, call } => {
            format!("state {} in call {call}", spec.buffers.get(*buffer).map_or("", |buffer| &buffer.path))
        }
        Prim::Called(call) => format!("of call {call}"),
        Prim::Batch(axis) => format!("batch as {}", name(spec, *axis)),
        Prim::SampleIndex => "sample_index".into(),
        Prim::Elapsed(unit) => format!("elapsed {}", word(unit)),
    };
    if args.is_empty() { head } else { format!("{head} {args}") }
}

/// What differs from a plain convolution.
fn slide(sliding: &Sliding) -> String {
    let plain = Sliding { stride: [1; 2], pad: [0; 4], dilation: [1; 2], input_dilation: [1; 2], groups: 1 };
    let pair = |what: &str, here: [usize; 2], usual: [usize; 2]| if here == usual { String::new() } else { format!(" {what} {here:?}") };
    let mut text = pair("stride", sliding.stride, plain.stride);
    if sliding.pad != plain.pad {
        text += &format!(" pad {:?}", sliding.pad);
    }
    text += &pair("dilation", sliding.dilation, plain.dilation);
    text += &pair("input_dilation", sliding.input_dilation, plain.input_dilation);
    if sliding.groups != plain.groups {
        text += &format!(" groups {}", sliding.groups);
    }
    text.trim_start().to_string()
}

/// The name of an operation as the language writes it: `LessEqual` is `less_equal`.
fn word(op: &impl std::fmt::Debug) -> String {
    let mut word = String::new();
    for letter in format!("{op:?}").chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}
