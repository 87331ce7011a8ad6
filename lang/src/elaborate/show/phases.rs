//! Training phases as text.

use super::{id, line, word};
use crate::spec::{Act, Average, Duration, Phase, Spec, Statement, TermId, Update};

/// A phase with its statements.
pub fn shown(spec: &Spec, phase: &Phase, text: &mut String) {
    let fresh = if phase.fresh.is_empty() { String::new() } else { format!(", fresh {}", phase.fresh.join(", ")) };
    let (length, trained) = (duration(phase.length), phase.trained.join(", "));
    line(text, format_args!("  phase {} for {length}, batch {}{fresh}, trains {trained}", phase.name, phase.batch));
    phase.body.iter().for_each(|statement| act(spec, statement, 4, text));
}

fn act(spec: &Spec, statement: &Statement, indent: usize, text: &mut String) {
    let mut say = |what: String| line(text, format_args!("{:indent$}{what}", ""));
    let (head, inner) = match &statement.act {
        Act::Update(update) => return of_update(spec, update, indent, text),
        Act::Average(average) => return of_average(spec, average, indent, text),
        Act::Together(inner) => ("together".to_string(), inner),
        Act::Every(period, inner) => (format!("every {}", duration(*period)), inner),
        Act::Finally(inner) => ("finally".to_string(), inner),
        Act::Keep(value) => return say(format!("keep best by{}", term(*value))),
        Act::Restart(value) => return say(format!("restart when{}", term(*value))),
        Act::Finish(value) => return say(format!("finish when{}", term(*value))),
        Act::Measure(evals) => return say(format!("measure {}", evals.join(", "))),
        Act::Checkpoint => return say("checkpoint".into()),
        Act::Show { count, values } => {
            say(format!("show {count}"));
            values.iter().for_each(|(name, value)| line(text, format_args!("{:indent$}  {name} = {}", "", id(*value))));
            return;
        }
    };
    say(head);
    inner.iter().for_each(|statement| act(spec, statement, indent + 2, text));
}

fn of_update(spec: &Spec, update: &Update, indent: usize, text: &mut String) {
    let repeat = if update.repeat == 1 { String::new() } else { format!(" repeat {}", update.repeat) };
    let loss = term(update.terms.as_ref().map(|terms| terms.loss));
    line(text, format_args!("{:indent$}update {} by {}{repeat}{loss}", "", update.models.join(", "), update.loss));
    weights(spec, update.terms.as_ref().map_or(&[], |terms| &terms.weights), indent + 2, text);
}

fn of_average(spec: &Spec, average: &Average, indent: usize, text: &mut String) {
    let from = average.from.map_or(String::new(), |from| format!(" from {}", duration(from)));
    line(text, format_args!("{:indent$}ema {}{from}", "", average.models.join(", ")));
    weights(spec, &average.weights, indent + 2, text);
}

fn weights(spec: &Spec, weights: &[(usize, TermId)], indent: usize, text: &mut String) {
    for (number, value) in weights {
        line(text, format_args!("{:indent$}{} = {}", "", spec.weights[*number].path, id(*value)));
    }
}

fn term(value: Option<TermId>) -> String {
    value.map_or(String::new(), |value| format!(" = {}", id(value)))
}

fn duration(length: Duration) -> String {
    format!("{} {}", length.amount, word(&length.unit))
}
