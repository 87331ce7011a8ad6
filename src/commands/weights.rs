//! `segc weights`: what a file of weights holds, and the same as safetensors.

use segc_runtime::weights::{self, Listed, Weights};

use crate::cli::{WeightsConvert, WeightsShow, WeightsVerb};
use crate::compiled::failed;
use crate::console::{self, Exit};

/// Does what is asked.
pub fn weights(verb: &WeightsVerb) -> Exit {
    match verb {
        WeightsVerb::Show(args) => show(args),
        WeightsVerb::Convert(args) => convert(args),
    }
}

fn show(args: &WeightsShow) -> Exit {
    match weights::open(&args.file) {
        Ok(weights) => {
            console::out(&if args.json { json(&weights) } else { text(&weights) });
            Exit::Done
        }
        Err(error) => failed(error),
    }
}

fn convert(args: &WeightsConvert) -> Exit {
    match weights::convert(&args.input, &args.output, args.below.as_deref(), args.overwrite) {
        Ok(written) => {
            let left =
                if written.left_out == 0 { String::new() } else { format!("; {} left out", console::count(written.left_out, "object")) };
            let tensors = console::count(written.tensors, "tensor");
            console::out(&format!("wrote {}: {tensors}, {} bytes{left}\n", args.output.display(), written.bytes));
            Exit::Done
        }
        Err(error) => failed(error),
    }
}

/// Real numbers of a file: what its networks have learnt, counted with their statistics.
fn parameters(weights: &Weights) -> u64 {
    weights.tensors.iter().filter(|one| one.element.is_real()).map(Listed::elements).fold(0, u64::saturating_add)
}

fn text(weights: &Weights) -> String {
    let shown = |one: &Listed| format!("{:?}", one.shape);
    let names = weights.tensors.iter().map(|one| one.name.chars().count()).max().unwrap_or(0);
    let shapes = weights.tensors.iter().map(|one| shown(one).len()).max().unwrap_or(0);
    let line = |one: &Listed| format!("{:<names$}  {:<4}  {:<shapes$}  {}\n", one.name, one.element.name(), shown(one), one.bytes());
    let mut text: String = weights.tensors.iter().map(line).collect();
    text += "\n";
    for other in &weights.others {
        text += &format!("not read: `{}`, {}\n", other.name, other.what);
    }
    let tensors = console::count(weights.tensors.len(), "tensor");
    text += &format!("{tensors}, {} real numbers; {}, {} bytes\n", parameters(weights), weights.format.words(), weights.length);
    text
}

fn json(weights: &Weights) -> String {
    let tensor =
        |one: &Listed| serde_json::json!({ "name": one.name, "elements": one.element.name(), "shape": one.shape, "bytes": one.bytes() });
    let tensors: Vec<_> = weights.tensors.iter().map(tensor).collect();
    let others: Vec<_> = weights.others.iter().map(|one| serde_json::json!({ "name": one.name, "what": one.what })).collect();
    let report = serde_json::json!({
        "format": weights.format.words(), "bytes": weights.length, "real_numbers": parameters(weights),
        "tensors": tensors, "not_read": others,
    });
    format!("{report:#}\n")
}
