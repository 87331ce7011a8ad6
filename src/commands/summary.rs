//! `segc show summary`: the models of a spec, layer by layer, with their sizes.

use segc_runtime::train::cost::Stored;

use crate::commands::compare::aligned;
use crate::commands::cost::{model_of, models, thousands, totals};

/// A table of layers for each model, and one of all models.
pub fn text(tensors: &[Stored]) -> String {
    let mut text = String::new();
    for model in models(tensors) {
        let own: Vec<&Stored> = tensors.iter().filter(|tensor| tensor.trainable && model_of(&tensor.path) == model.name).collect();
        let mut rows = vec![(model.name.clone(), vec!["weights".into()], String::new())];
        rows.extend(layers(&model.name, &own));
        let cells: Vec<(String, Vec<String>)> = rows.iter().map(|(name, cells, _)| (name.clone(), cells.clone())).collect();
        for (line, (_, _, sizes)) in aligned(&cells).lines().zip(&rows) {
            text.push_str(format!("{line}  {sizes}").trim_end());
            text.push('\n');
        }
        text.push('\n');
    }
    if text.is_empty() { "no models\n".into() } else { text + &totals(&models(tensors)) }
}

type Row = (String, Vec<String>, String);

/// A row for each layer: what the paths of its weights have in common, how many numbers they are, and the sizes of each.
fn layers(model: &str, weights: &[&Stored]) -> Vec<Row> {
    let mut groups: Vec<(&str, Vec<&Stored>)> = Vec::new();
    for weight in weights {
        let layer = weight.path.rsplit_once('.').map_or(weight.path.as_str(), |(layer, _)| layer);
        match groups.last_mut().filter(|(name, _)| *name == layer) {
            Some((_, list)) => list.push(weight),
            None => groups.push((layer, vec![weight])),
        }
    }
    let row = |(layer, list): (&str, Vec<&Stored>)| {
        let name = layer.strip_prefix(model).unwrap_or(layer).trim_start_matches('.');
        let sizes: Vec<String> = list.iter().map(|weight| sized(layer, weight)).collect();
        (format!("  {name}"), vec![thousands(list.iter().map(|weight| weight.elements()).sum())], sizes.join(" "))
    };
    groups.into_iter().map(row).collect()
}

/// `w[to: 16, from: 3, row: 3, column: 3]`.
fn sized(layer: &str, weight: &Stored) -> String {
    let name = weight.path.strip_prefix(layer).unwrap_or(&weight.path).trim_start_matches('.');
    let axes: Vec<String> = weight.axes.iter().map(|(axis, size)| format!("{axis}: {size}")).collect();
    format!("{name}[{}]", axes.join(", "))
}
