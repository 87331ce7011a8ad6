//! What a training has come to: all that a checkpoint holds, by name, so that phases of other sizes find what they share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::log::{Record, Window};

/// Values of one weight, state or average.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// Sizes, the last axis contiguous.
    pub shape: Vec<usize>,
    /// As many values as the sizes say.
    pub values: Vec<f32>,
}

/// What a tensor is to its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A weight.
    Weight,
    /// A state of a net or of an optimiser.
    Buffer,
    /// The moving average of a weight.
    Average,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Weight, Kind::Buffer, Kind::Average];

    fn word(self) -> &'static str {
        match self {
            Kind::Weight => "weight",
            Kind::Buffer => "state",
            Kind::Average => "average",
        }
    }

    /// The name of a tensor in a checkpoint: `weight/critic.block.8.conv_1.w`.
    pub fn name(self, path: &str) -> String {
        format!("{}/{path}", self.word())
    }
}

/// Where in the run a training stands, between two steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Number of the phase; as many as there are phases when training is over.
    pub phase: usize,
    /// Whether the phase has begun: its models have first values.
    pub begun: bool,
    /// Steps of the phase since it began or began anew.
    pub step: u64,
    /// Steps of the phase, those before it began anew among them: what its draws are counted by.
    pub spent: u64,
    /// How often the phase began anew.
    pub restarts: u32,
    /// Steps of the whole run.
    pub total: u64,
}

/// The best models of a phase so far; their tensors are named `best/weight/...`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The value that `keep best by` read.
    pub value: f64,
    /// Steps of the phase at that time.
    pub step: u64,
}

/// The state of a training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Where it stands.
    pub place: Place,
    /// Samples that each data item has handed out.
    pub cursors: BTreeMap<String, u64>,
    /// How often models were started anew, by the beginning of their paths.
    pub starts: BTreeMap<String, u32>,
    /// How much of the last phase was over at its end, in steps, samples and epochs: what terms read of it afterwards.
    pub elapsed: [f32; 3],
    /// The best models of the present phase.
    pub best: Option<Best>,
    /// Losses that no record holds yet.
    pub window: Window,
    /// What was measured so far.
    pub records: Vec<Record>,
    tensors: Tensors,
}

/// Tensors by name. A tensor keeps its number; that of a removed one is not used again.
#[derive(Clone, Debug, Default)]
struct Tensors {
    numbers: BTreeMap<String, usize>,
    list: Vec<Tensor>,
}

impl PartialEq for Tensors {
    /// The order in which tensors were added has no meaning.
    fn eq(&self, other: &Tensors) -> bool {
        self.numbers.len() == other.numbers.len()
            && self.numbers.iter().all(|(name, at)| other.numbers.get(name).is_some_and(|own| other.list[*own] == self.list[*at]))
    }
}

const BEST: &str = "best/";

impl State {
    /// All tensors with their names, sorted.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.numbers.iter().map(|(name, at)| (name.as_str(), &self.tensors.list[*at]))
    }

    /// The tensors that a checkpoint holds: all but the weights and states of models that lie in files already.
    pub fn to_keep<'a>(&'a self, given: &'a [String]) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        let in_files =
            |name: &str| [Kind::Weight, Kind::Buffer].iter().any(|kind| own(name, *kind).is_some_and(|path| belongs(path, given)));
        self.tensors().filter(move |(name, _)| !in_files(name))
    }

    /// Adds a tensor or gives it other values.
    pub fn set(&mut self, name: String, tensor: Tensor) -> usize {
        let Tensors { numbers, list } = &mut self.tensors;
        let at = *numbers.entry(name).or_insert_with(|| {
            list.push(Tensor::default());
            list.len() - 1
        });
        list[at] = tensor;
        at
    }

    /// The number of a tensor.
    pub fn number(&self, kind: Kind, path: &str) -> Option<usize> {
        self.tensors.numbers.get(&kind.name(path)).copied()
    }

    /// The number of what stands for a weight where its model does not train: its average if it has one.
    pub fn settled(&self, path: &str) -> Option<usize> {
        self.number(Kind::Average, path).or_else(|| self.number(Kind::Weight, path))
    }

    /// Values by number.
    pub fn values(&self, number: usize) -> &[f32] {
        &self.tensors.list[number].values
    }

    /// Exchanges the values of a tensor for others of its size.
    pub fn swap(&mut self, number: usize, values: &mut Vec<f32>) {
        std::mem::swap(&mut self.tensors.list[number].values, values);
    }

    /// The tensor with this number.
    pub fn tensor(&self, number: usize) -> &Tensor {
        &self.tensors.list[number]
    }

    /// Copies the values of a tensor into another of its size.
    pub fn copy(&mut self, from: usize, into: usize) {
        let values = std::mem::take(&mut self.tensors.list[from].values);
        self.tensors.list[into].values.clone_from(&values);
        self.tensors.list[from].values = values;
    }

    /// Forgets all weights, states and averages of models; they are started anew when they are needed.
    pub fn forget(&mut self, models: &[String]) {
        self.tensors.retain(|name| !Kind::ALL.iter().any(|kind| own(name, *kind).is_some_and(|path| belongs(path, models))));
        models.iter().for_each(|model| *self.starts.entry(model.clone()).or_default() += 1);
    }

    /// Forgets averages of models that no statement of a phase keeps: they would be of former weights.
    pub fn forget_averages(&mut self, models: &[String], kept: &[String]) {
        let stale = |path: &str| belongs(path, models) && !kept.iter().any(|own| own == path);
        self.tensors.retain(|name| !own(name, Kind::Average).is_some_and(stale));
    }

    /// How often the model of a path was started anew.
    pub fn started(&self, path: &str) -> u32 {
        self.starts.iter().filter(|(model, _)| belongs(path, std::slice::from_ref(model))).map(|(_, count)| count).sum()
    }

    /// Keeps the settled weights and the states that a collected data item reads, as they are when it is first read.
    pub fn keep_collected(&mut self, data: &str, weights: &[&str], buffers: &[&str]) {
        let weights = weights.iter().map(|path| (Kind::Weight, *path, self.settled(path)));
        let buffers = buffers.iter().map(|path| (Kind::Buffer, *path, self.number(Kind::Buffer, path)));
        let all: Vec<(String, usize)> =
            weights.chain(buffers).filter_map(|(kind, path, number)| Some((collected(data, kind, path), number?))).collect();
        for (name, number) in all {
            if !self.tensors.numbers.contains_key(&name) {
                let tensor = self.tensors.list[number].clone();
                self.set(name, tensor);
            }
        }
    }

    /// The number of a tensor that a collected data item read at its first time.
    pub fn collected(&self, data: &str, kind: Kind, path: &str) -> Option<usize> {
        self.tensors.numbers.get(&collected(data, kind, path)).copied()
    }

    /// Keeps the models as they are now as the best ones.
    pub fn keep_best(&mut self, models: &[String], best: Best) {
        let of = |name: &str| Kind::ALL.iter().any(|kind| own(name, *kind).is_some_and(|path| belongs(path, models)));
        let names: Vec<String> = self.tensors.numbers.keys().filter(|name| of(name)).cloned().collect();
        for name in names {
            let tensor = self.tensors.list[self.tensors.numbers[&name]].clone();
            self.set(format!("{BEST}{name}"), tensor);
        }
        self.best = Some(best);
    }

    /// Brings the best models back; gives whether there were some.
    pub fn restore_best(&mut self) -> Option<Best> {
        let names: Vec<String> = self.tensors.numbers.keys().filter(|name| name.starts_with(BEST)).cloned().collect();
        for name in names {
            let tensor = std::mem::take(&mut self.tensors.list[self.tensors.numbers[&name]]);
            self.set(name[BEST.len()..].to_owned(), tensor);
        }
        self.tensors.retain(|name| !name.starts_with(BEST));
        self.best.take()
    }
}

impl Tensors {
    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let Tensors { numbers, list } = self;
        numbers.retain(|name, at| {
            let stays = keep(name);
            if !stays {
                list[*at] = Tensor::default();
            }
            stays
        });
    }
}

/// The name of a tensor that a collected data item read.
fn collected(data: &str, kind: Kind, path: &str) -> String {
    format!("collected/{data}/{}", kind.name(path))
}

/// The path of a tensor of this kind.
fn own(name: &str, kind: Kind) -> Option<&str> {
    name.strip_prefix(kind.word())?.strip_prefix('/')
}

/// Whether a path is that of one of the models.
pub fn belongs(path: &str, models: &[String]) -> bool {
    models.iter().any(|model| segc_lang::spec::belongs(path, model))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let mut state = State::default();
        for (kind, path) in [(Kind::Weight, "g.a.w"), (Kind::Buffer, "g.a.w.m"), (Kind::Average, "g.a.w"), (Kind::Weight, "g2.w")] {
            state.set(kind.name(path), Tensor { shape: vec![2], values: vec![1.0, 2.0] });
        }
        state
    }

    #[test]
    fn a_model_that_is_forgotten_is_counted_and_others_stay() {
        let mut state = state();
        state.forget(&["g".into()]);
        assert_eq!(state.tensors().map(|(name, _)| name).collect::<Vec<_>>(), ["weight/g2.w"]);
        assert_eq!((state.started("g.a.w"), state.started("g2.w")), (1, 0));
    }

    #[test]
    fn the_best_models_come_back_with_their_states() {
        let mut state = state();
        let before = state.clone();
        state.keep_best(&["g".into()], Best { value: 0.5, step: 3 });
        for (kind, path) in [(Kind::Weight, "g.a.w"), (Kind::Buffer, "g.a.w.m")] {
            let number = state.number(kind, path).unwrap();
            state.swap(number, &mut vec![7.0, 7.0]);
        }
        assert_ne!(state, before);
        assert_eq!(state.restore_best().map(|best| best.step), Some(3));
        assert_eq!(state, before);
    }

    #[test]
    fn averages_that_nobody_keeps_go() {
        let mut state = state();
        state.forget_averages(&["g".into()], &["g.a.w".into()]);
        assert!(state.number(Kind::Average, "g.a.w").is_some());
        state.forget_averages(&["g".into()], &[]);
        assert_eq!(state.settled("g.a.w"), state.number(Kind::Weight, "g.a.w"));
    }
}
