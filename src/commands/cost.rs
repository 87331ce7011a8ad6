//! `segc check --cost`: the size of the models, and what a step of each phase takes.

use segc_lang::spec::Spec;
use segc_runtime::outcome::RunError;
use segc_runtime::session::Options;
use segc_runtime::train::cost::{Memory, PROCESS, PhaseCost, Stored, TurnCost, costs, stored};
use serde::Serialize;

use crate::cli::Threads;
use crate::commands::compare::aligned;
use crate::compiled::Moments;
use crate::console;

/// What a run of a spec takes.
#[derive(Debug, Serialize)]
pub struct Costs {
    /// The file.
    pub spec: String,
    models: Vec<Model>,
    phases: Vec<PhaseCost>,
    /// Bytes of the process itself: what this one took to compile all phases, what a run takes beside, and what the allocator holds back.
    process_bytes: u64,
    /// Bytes that are alive together, at most.
    peak_bytes: u64,
}

/// The allocator holds back one byte of so many that a run has had, rather less.
const HELD_BACK: u64 = 24;

/// Bytes that a run takes beside what compiling takes and [`Memory`] counts: the threads that read data, the report.
const BESIDE: u64 = 10_000_000;

/// A model in numbers.
#[derive(Debug, PartialEq, Serialize)]
pub struct Model {
    /// Its name, with its index: `G.0`.
    pub name: String,
    /// How many numbers its weights are.
    pub weights: u64,
    /// How many numbers its states and those of its optimisers are.
    pub states: u64,
}

/// Counts all phases. Errors: faults of a phase, unusable data.
pub fn count(name: &str, end: &Spec, moments: &Moments) -> Result<Costs, RunError> {
    let options = Options::plain(Threads { threads: None }.count());
    let phases = costs(end, moments, &options)?;
    let most = phases.iter().map(|phase| phase.memory.total()).max().unwrap_or(0);
    let process_bytes = console::peak_memory().map_or(0, |own| own + BESIDE + most / HELD_BACK).max(PROCESS);
    let peak_bytes = process_bytes + most;
    Ok(Costs { spec: name.into(), models: models(&stored(end, moments)?), phases, process_bytes, peak_bytes })
}

/// The models that tensors belong to: a name, and its index where there are several.
pub fn models(tensors: &[Stored]) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    for tensor in tensors {
        let name = model_of(&tensor.path);
        if models.last().is_none_or(|last| last.name != name) {
            models.push(Model { name: name.into(), weights: 0, states: 0 });
        }
        if let Some(model) = models.last_mut() {
            *(if tensor.trainable { &mut model.weights } else { &mut model.states }) += tensor.elements();
        }
    }
    models
}

/// `critic` of `critic.block.8.w`, `G.0` of `G.0.w`.
pub fn model_of(path: &str) -> &str {
    let mut ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    let first = ends.next().unwrap_or(path.len());
    let second = ends.next().unwrap_or(path.len());
    let index = path.get(first + 1..second).is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    &path[..if index { second } else { first }]
}

impl Costs {
    /// Tables for people.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.spec);
        if !self.models.is_empty() {
            text.push_str(&format!("\n{}", totals(&self.models)));
        }
        for phase in grouped(&self.phases) {
            text.push_str(&format!("\n{}", phase_text(&phase)));
        }
        if !self.phases.is_empty() {
            text.push_str(&format!("\npeak memory: {}, of it {} for the process itself\n", mb(self.peak_bytes), mb(self.process_bytes)));
        }
        text
    }
}

/// A table of models with their sums.
pub fn totals(models: &[Model]) -> String {
    let row = |model: &Model| (model.name.clone(), vec![thousands(model.weights), thousands(model.states)]);
    let mut rows = vec![("model".into(), vec!["weights".into(), "states".into()])];
    rows.extend(models.iter().map(row));
    if models.len() > 1 {
        let sum = |of: fn(&Model) -> u64| thousands(models.iter().map(of).sum());
        rows.push(("all".into(), vec![sum(|model| model.weights), sum(|model| model.states)]));
    }
    aligned(&rows)
}

/// Phases that differ in their names only, as one with both names and how many they are.
fn grouped(phases: &[PhaseCost]) -> Vec<(String, &PhaseCost)> {
    let mut groups: Vec<(Vec<&str>, &PhaseCost)> = Vec::new();
    for phase in phases {
        let alike = |other: &PhaseCost| (other.steps, other.batch, &other.turns) == (phase.steps, phase.batch, &phase.turns);
        match groups.last_mut() {
            Some((names, first)) if alike(first) => names.push(&phase.name),
            _ => groups.push((vec![&phase.name], phase)),
        }
    }
    let name = |names: &[&str]| match names {
        [first, .., last] => format!("{first} to {last}, {} phases of the same cost", names.len()),
        _ => names.concat(),
    };
    groups.into_iter().map(|(names, phase)| (name(&names), phase)).collect()
}

fn phase_text((name, phase): &(String, &PhaseCost)) -> String {
    let mut rows = vec![(String::new(), ["per step", "GFLOP", "MB moved", "kernels"].map(String::from).to_vec())];
    rows.extend(phase.turns.iter().map(turn));
    let (flop, bytes) = phase.step();
    rows.push(("  a step on average".into(), vec![String::new(), giga(flop), format!("{:.1}", bytes / 1e6), String::new()]));
    let Memory { models, results, workspace, batches, data, shown } = phase.memory;
    let parts =
        [("models", models), ("results", results), ("workspace", workspace), ("batches", batches), ("data", data), ("shown", shown)];
    let parts: Vec<String> = parts.iter().filter(|(_, bytes)| *bytes > 0).map(|(name, bytes)| format!("{name} {}", mb(*bytes))).collect();
    format!(
        "phase {name}: {} of {}\n{}  memory: {}: {}\n",
        console::count(phase.steps as usize, "step"),
        phase.batch,
        aligned(&rows),
        mb(phase.memory.total()),
        parts.join(", ")
    )
}

fn turn(turn: &TurnCost) -> (String, Vec<String>) {
    let name = format!("  {} -> {}", turn.name, turn.models.join(", "));
    let cells = vec![
        format!("{:.3}", turn.per_step).trim_end_matches('0').trim_end_matches('.').to_owned(),
        giga(turn.cost.flop as f64),
        format!("{:.1}", turn.cost.bytes as f64 / 1e6),
        turn.cost.kernels.to_string(),
    ];
    (name, cells)
}

fn giga(flop: f64) -> String {
    format!("{:.3}", flop / 1e9)
}

fn mb(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let all = [0, 12, 999, 1000, 51_672_967].map(thousands);
        assert_eq!(all, ["0", "12", "999", "1,000", "51,672,967"]);
    }

    #[test]
    fn an_index_belongs_to_the_name_of_a_model() {
        let all = ["critic.block.8.w", "G.0.w", "G.10", "w", "a.0b.c"].map(model_of);
        assert_eq!(all, ["critic", "G.0", "G.10", "w", "a"]);
    }
}
