//! The spec of a case: its form with the inputs as weights of models that only hold them. The samples of an input are picked by
//! `sample_index()`, so that values are per sample as in any other spec.

use super::case::{Array, Case};
use super::form::{Form, Input};

/// Axes without a name, and those of matrices.
const AXES: &str = "axis a0, a1, a2, a3, a4, a5, b0, b1, b2, b3\n";

/// The whole text.
pub fn spec(case: &Case, form: &Form) -> String {
    let mut text = format!("//! {}\n{AXES}", case.id);
    for input in form.inputs.iter().filter(|input| input.path.is_none()) {
        text += &given(input, &case.inputs[&input.name], result_rank(case, input), case);
    }
    text + &form.text
}

/// Path of the weight or state that holds an input.
pub fn path(input: &Input) -> String {
    input.path.clone().unwrap_or_else(|| format!("given_{}.v", input.called))
}

/// Names of the axes of an input as stored, none for those that fall away.
pub fn stored_axes(input: &Input, array: &Array, result_rank: usize) -> Vec<Option<String>> {
    let dots = input.layout.iter().position(|word| word.ends_with(".."));
    let named = input.layout.len() - usize::from(dots.is_some());
    let anonymous = array.shape.len() - named.min(array.shape.len());
    let mut axes = Vec::new();
    for word in &input.layout {
        if word.ends_with("..") {
            axes.extend((0..anonymous).map(|i| Some(format!("a{}", result_rank.saturating_sub(named) - anonymous + i))));
        } else {
            axes.push((word != "1").then(|| if word == "sample" { "one".into() } else { word.clone() }));
        }
    }
    axes
}

fn result_rank(case: &Case, input: &Input) -> usize {
    let own = case.inputs[&input.name].shape.len();
    let aligned = input.layout.iter().any(|word| word == "spread.." || word == "drop..");
    if aligned { case.outputs.values().map(|y| y.shape.len()).max().unwrap_or(own) } else { own }
}

/// The layout of an input of a case.
pub fn layout(case: &Case, input: &Input) -> Vec<Option<String>> {
    stored_axes(input, &case.inputs[&input.name], result_rank(case, input))
}

fn given(input: &Input, array: &Array, result_rank: usize, case: &Case) -> String {
    let name = &input.called;
    let axes: Vec<(String, usize)> =
        stored_axes(input, array, result_rank).into_iter().zip(&array.shape).filter_map(|(axis, size)| Some((axis?, *size))).collect();
    let kind = if input.whole { "int" } else { "" };
    let brackets = |axes: &[(String, usize)]| match (axes, kind) {
        ([], "int") => "int".to_string(),
        ([], _) => "real".to_string(),
        _ => format!("{kind}[{}]", axes.iter().map(|(axis, size)| format!("{axis}: {size}")).collect::<Vec<_>>().join(", ")),
    };
    let per_sample = axes.iter().any(|(axis, _)| axis == "one");
    let own: Vec<(String, usize)> = axes.iter().filter(|(axis, _)| axis != "one").cloned().collect();
    let holder = if input.whole { "state" } else { "weight" };
    let (body, at) = if per_sample { ("v[one: at]", "sample_index()") } else { ("v", "0") };
    let mut value = format!("given_{name}({at})");
    let fitted = |mark: &str| input.layout.iter().any(|word| word == mark);
    if fitted("spread..") || fitted("drop..") {
        let result = case.outputs.values().next().map_or(&[][..], |y| &y.shape);
        value = fit(&value, &own, result, fitted("spread.."));
    }
    format!(
        "net holder_{name}()(at: int) -> {} {{\n    {holder} v: {} = 0\n    return {body}\n}}\n\
         model given_{name} = holder_{name}()\nlet {name} = {value}\n",
        brackets(&own),
        brackets(&axes),
    )
}

/// Axes of size one dropped, and the missing ones repeated: what the language wants to be said aloud.
fn fit(value: &str, own: &[(String, usize)], result: &[usize], spread: bool) -> String {
    let anonymous = |axis: &str| axis.strip_prefix('a').and_then(|n| n.parse::<usize>().ok());
    let dropped: Vec<&String> = own.iter().filter(|(axis, size)| *size == 1 && anonymous(axis).is_some()).map(|(axis, _)| axis).collect();
    let picks: Vec<String> = dropped.iter().map(|axis| format!("{axis}: 0")).collect();
    let value = if picks.is_empty() { value.to_string() } else { format!("{value}[{}]", picks.join(", ")) };
    let kept = |axis: &str| own.iter().any(|(known, _)| known == axis) && !dropped.iter().any(|known| *known == axis);
    let missing: Vec<String> = (0..result.len()).filter(|i| !kept(&format!("a{i}"))).map(|i| format!("a{i}: {}", result[i])).collect();
    if spread && !missing.is_empty() { format!("spread({value}, {})", missing.join(", ")) } else { value }
}
