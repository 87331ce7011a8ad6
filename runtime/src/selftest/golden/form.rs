//! How an op's definition reads in the language: sections of `forms/<group>.forms`.
//!
//! ```text
//! ==== batch_norm_train           names of ops; behind them conditions: `x:4` (rank of an input), `+weight`, `-weight` (there or not),
//!                                 `mode=up` (an attribute). The first section that fits is taken.
//! > x sample channel height width  an input and its axes as stored; `x:picture` is called `picture` in the text.
//!                                 `sample` is the batch, `1` an axis of size one that falls away, `..`
//!                                 axes without a name (a0, a1, ..), `spread..` repeats them to the result's sizes, `drop..` drops those of
//!                                 size one. `int` in front: whole numbers.
//! > weight = norm.gain            a weight or state of a model, perhaps with its layout as stored.
//! > blocks.{i}.w = layer.{i}.w  the same for every number.
//! > training false                what `training` means.
//! > ignore mode                   an attribute that the text does not need.
//! > unused linear.bias            an input that no result depends on.
//! < y sample channel              layout of a result where it is not the language's own order.
//! < mean = next norm.usual_mean   a result that is what a state becomes.
//! let y = norm(x)                 text of the spec. `$(eps)` is an attribute, `$(padding.0)` an element, `$(axes|over)` axis numbers as
//!                                 names, `$(axes|names)` the same without brackets, `$(x#1)` a size, `$(weight?)` whether it is there.
//! ```

use serde_json::Value;

use super::case::Case;

/// Sections of a group.
pub struct Forms {
    sections: Vec<Section>,
}

struct Section {
    ops: Vec<String>,
    conditions: Vec<String>,
    lines: Vec<String>,
}

/// An input of a case.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name in the case.
    pub name: String,
    /// What the text calls it.
    pub called: String,
    /// Whether its elements are whole numbers.
    pub whole: bool,
    /// A path of a model, or an input that the text names.
    pub path: Option<String>,
    /// Names of axes in the stored order; empty: our own.
    pub layout: Vec<String>,
}

/// A result of a case.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name in the case.
    pub name: String,
    /// What the text calls it.
    pub called: String,
    /// The state that it is the next value of.
    pub next: Option<String>,
    /// Names of axes in the stored order; empty: our own.
    pub layout: Vec<String>,
}

/// A section with a case's values filled in.
#[derive(Debug, Default)]
pub struct Form {
    /// Inputs that no result depends on.
    pub unused: Vec<String>,
    /// The inputs that the text reads.
    pub inputs: Vec<Input>,
    /// The results.
    pub outputs: Vec<Output>,
    /// What `training` means.
    pub training: bool,
    /// Text of the spec.
    pub text: String,
}

impl Forms {
    /// The sections of a text.
    pub fn parse(text: &str) -> Forms {
        let mut sections: Vec<Section> = Vec::new();
        for line in text.lines() {
            match (line.strip_prefix("===="), sections.last_mut()) {
                (Some(head), _) => {
                    let is_condition = |word: &&str| word.contains([':', '=']) || word.starts_with(['+', '-']);
                    let (conditions, ops): (Vec<&str>, Vec<&str>) = head.split_whitespace().partition(is_condition);
                    let own = |words: Vec<&str>| words.into_iter().map(str::to_string).collect();
                    sections.push(Section { ops: own(ops), conditions: own(conditions), lines: Vec::new() });
                }
                (None, Some(section)) => section.lines.push(line.to_string()),
                (None, None) => {}
            }
        }
        Forms { sections }
    }

    /// The section of a case with its values. Errors: no section fits; something of the case that its section does not use.
    pub fn of(&self, case: &Case) -> Result<Form, String> {
        let fits = |section: &&Section| section.ops.contains(&case.op) && section.conditions.iter().all(|condition| holds(condition, case));
        let section = self.sections.iter().find(fits).ok_or(format!("no form of `{}` fits", case.op))?;
        let mut form = Form { training: true, ..Form::default() };
        let mut used = Vec::new();
        for line in &section.lines {
            let line = filled(line, case, &mut used)?;
            match (line.strip_prefix("> "), line.strip_prefix("< ")) {
                (Some(rest), _) => form.directive(rest, case, &mut used),
                (_, Some(rest)) => form.outputs.push(output(rest)),
                _ => form.text += &format!("{line}\n"),
            }
        }
        if let Some(name) =
            case.attrs.keys().find(|name| !used.contains(*name) && !section.conditions.iter().any(|c| c.starts_with(&format!("{name}="))))
        {
            return Err(format!("attribute `{name}` is not used by the form"));
        }
        if let Some(name) =
            case.inputs.keys().find(|name| !form.unused.contains(name) && form.inputs.iter().all(|input| input.name != **name))
        {
            return Err(format!("input `{name}` is not used by the form"));
        }
        for name in case.outputs.keys() {
            if form.outputs.iter().all(|output| output.name != *name) {
                form.outputs.push(Output { name: name.clone(), called: name.clone(), next: None, layout: Vec::new() });
            }
        }
        Ok(form)
    }
}

impl Form {
    fn directive(&mut self, rest: &str, case: &Case, used: &mut Vec<String>) {
        let words: Vec<&str> = rest.split_whitespace().collect();
        match words.as_slice() {
            ["training", value] => self.training = *value == "true",
            ["unused", names @ ..] => self.unused.extend(names.iter().map(|name| (*name).to_string())),
            ["ignore", names @ ..] => used.extend(names.iter().map(|name| (*name).to_string())),
            [name, words @ ..] if name.contains("{i}") => {
                for (full, number) in case.inputs.keys().filter_map(|full| Some((full, numbered(name, full)?))) {
                    let words: Vec<String> = words.iter().map(|word| word.replace("{i}", number)).collect();
                    self.inputs.push(input(full, full, &words.iter().map(String::as_str).collect::<Vec<_>>()));
                }
            }
            [name, words @ ..] => {
                let (name, called) = name.split_once(':').unwrap_or((name, name));
                if case.inputs.contains_key(name) {
                    self.inputs.push(input(name, called, words));
                }
            }
            _ => {}
        }
    }
}

/// The number at `{i}` of a pattern that fits.
fn numbered<'a>(pattern: &str, full: &'a str) -> Option<&'a str> {
    let (before, after) = pattern.split_once("{i}")?;
    let number = full.strip_prefix(before)?.strip_suffix(after)?;
    number.bytes().all(|letter| letter.is_ascii_digit()).then_some(number)
}

fn input(name: &str, called: &str, words: &[&str]) -> Input {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect();
    let plain = Input { name: name.into(), called: called.into(), whole: false, path: None, layout: Vec::new() };
    match words {
        ["=", path, layout @ ..] => Input { path: Some((*path).into()), layout: own(layout), ..plain },
        ["int", layout @ ..] => Input { whole: true, layout: own(layout), ..plain },
        layout => Input { layout: own(layout), ..plain },
    }
}

fn output(rest: &str) -> Output {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (name, words) = words.split_first().map_or(("", &[][..]), |(name, words)| (*name, words));
    let (next, layout) = match words {
        ["=", "next", path, layout @ ..] => (Some((*path).to_string()), layout),
        layout => (None, layout),
    };
    let (name, called) = name.split_once(':').unwrap_or((name, name));
    Output { name: name.into(), called: called.into(), next, layout: layout.iter().map(|word| (*word).to_string()).collect() }
}

fn holds(condition: &str, case: &Case) -> bool {
    if let Some(name) = condition.strip_prefix('+') {
        return case.inputs.contains_key(name);
    }
    if let Some(name) = condition.strip_prefix('-') {
        return !case.inputs.contains_key(name);
    }
    if let Some((name, rank)) = condition.split_once(':') {
        return case.inputs.get(name).is_some_and(|x| x.shape.len().to_string() == rank);
    }
    condition.split_once('=').is_some_and(|(name, value)| case.attrs.get(name).is_some_and(|v| shown(v) == value))
}

/// A line with its `$(..)` replaced.
fn filled(line: &str, case: &Case, used: &mut Vec<String>) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("$(") {
        let end = rest[at..].find(')').ok_or(format!("no `)` in {line}"))? + at;
        text += &rest[..at];
        text += &value(&rest[at + 2..end], case, used).ok_or(format!("nothing is meant by `{}`", &rest[at..=end]))?;
        rest = &rest[end + 1..];
    }
    Ok(text + rest)
}

fn value(what: &str, case: &Case, used: &mut Vec<String>) -> Option<String> {
    if what == "op" {
        return Some(case.op.clone());
    }
    if let Some(name) = what.strip_suffix('?') {
        return Some(case.inputs.contains_key(name).to_string());
    }
    if let Some((name, axis)) = what.split_once('#') {
        let shape = &case.inputs.get(name).or_else(|| case.outputs.get(name))?.shape;
        return if axis.is_empty() { Some(shape.len().to_string()) } else { Some(shape.get(axis.parse::<usize>().ok()?)?.to_string()) };
    }
    if let Some((name, how)) = what.split_once('|') {
        used.push(name.to_string());
        let names = axes(case.attrs.get(name)?, case)?;
        return Some(if how == "over" { format!("[{}]", names.join(", ")) } else { names.join(" ") });
    }
    let (name, place) = match what.split_once('.') {
        Some((name, place)) => (name, Some(place.parse::<usize>().ok()?)),
        None => (what, None),
    };
    used.push(name.to_string());
    let value = case.attrs.get(name)?;
    Some(shown(place.map_or(Some(value), |place| value.get(place))?))
}

/// Names of the axes with these numbers; negative ones count from the last.
fn axes(value: &Value, case: &Case) -> Option<Vec<String>> {
    let rank = case.inputs.get("x").or_else(|| case.inputs.get("a"))?.shape.len() as i64;
    let name = |value: &Value| Some(format!("a{}", value.as_i64()?.rem_euclid(rank)));
    value.as_array().map_or_else(|| Some(vec![name(value)?]), |list| list.iter().map(name).collect())
}

/// A value as the language writes it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(word) => word.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |x| x.to_string()),
        other => other.to_string(),
    }
}
