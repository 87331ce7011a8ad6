//! Which weights and states of models a run reads or writes.

use super::{Act, Output, Pictures, Prim, Spec, Statement, TermId, flat};

/// For each weight and each state whether it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// By number in [`Spec::weights`].
    pub weights: Vec<bool>,
    /// By number in [`Spec::buffers`].
    pub buffers: Vec<bool>,
}

impl Spec {
    /// The weights and states that something reaches which is computed at the moment that the spec was elaborated for.
    pub fn reached(&self) -> Reached {
        let mut reached = Reached { weights: vec![false; self.weights.len()], buffers: vec![false; self.buffers.len()] };
        let mut open = self.computed();
        open.extend(self.phases.iter().flat_map(|phase| of_body(&phase.body, &mut reached)));
        let mut seen = vec![false; self.terms.len()];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            let term = self.terms.get(id);
            match term.prim {
                Prim::Weight(number) | Prim::Averaged(number) => reached.weights[number] = true,
                Prim::Buffer { buffer, .. } => reached.buffers[buffer] = true,
                Prim::Called(call) => {
                    for (buffer, next) in &self.calls[call].states {
                        reached.buffers[*buffer] = true;
                        open.extend(next);
                    }
                }
                _ => {}
            }
            open.extend(&term.args);
        }
        reached
    }

    /// Whether no phase that takes any time trains the model of a path or starts it anew, so that its weights and states stay what they
    /// are at first.
    pub fn stays(&self, path: &str) -> bool {
        let phases = self.phases.iter().filter(|phase| phase.length.amount > 0.0);
        !phases.flat_map(|phase| phase.trained.iter().chain(&phase.fresh)).any(|model| belongs(path, model))
    }

    /// Whether terms need the samples of a whole batch side by side.
    pub fn joins_samples(&self, roots: &[TermId]) -> bool {
        self.terms.below(roots).iter().any(|term| matches!(term.prim, Prim::Batch(_) | Prim::SampleIndex))
    }

    /// Terms that are computed, but for those of phases.
    fn computed(&self) -> Vec<TermId> {
        let evals = self.evals.iter().flat_map(|eval| &eval.values).chain(&self.wanted).map(|(_, id)| *id);
        let members = self.solves.iter().flat_map(|solve| &solve.members);
        let states = members.flat_map(|member| &member.states).flat_map(|state| [state.first, state.next]);
        let collected =
            self.data.iter().filter_map(|item| if let Pictures::Collected { fields, .. } = &item.source { Some(fields) } else { None });
        let output = self.output.iter().map(|Output { value, .. }| *value);
        evals.chain(states).chain(output).chain(collected.flatten().map(|(_, id)| *id)).collect()
    }
}

/// Whether a path is that of a model or of something in it: `critic.conv.w` is of `critic`, `critic_2.conv.w` is not.
pub fn belongs(path: &str, model: &str) -> bool {
    path.strip_prefix(model).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The terms of statements; weights that are averaged count as reached.
fn of_body(body: &[Statement], reached: &mut Reached) -> Vec<TermId> {
    let mut terms = Vec::new();
    for statement in flat(body) {
        match &statement.act {
            Act::Update(update) => {
                if let Some(computed) = &update.terms {
                    terms.push(computed.loss);
                    terms.extend(computed.weights.iter().map(|(_, id)| *id));
                    computed.weights.iter().for_each(|(number, _)| reached.weights[*number] = true);
                }
            }
            Act::Average(average) => {
                terms.extend(average.weights.iter().map(|(_, id)| *id));
                average.weights.iter().for_each(|(number, _)| reached.weights[*number] = true);
            }
            Act::Keep(term) | Act::Restart(term) | Act::Finish(term) => terms.extend(term),
            Act::Show { values, .. } => terms.extend(values.iter().map(|(_, id)| *id)),
            _ => {}
        }
    }
    terms
}
