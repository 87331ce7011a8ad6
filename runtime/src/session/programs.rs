//! The programs of a spec over one data item: first states, steps and results of its solves, then outputs and evaluations.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;

use segc_compiler::build::{Leaf, Request};
use segc_lang::fault::Fault;
use segc_lang::spec::{Over, Part, Prim, Spec, TermId};

use super::Options;
use super::means::full_name;
use super::watch::Watched;
use crate::data::DataSet;
use crate::execute::Executable;
use crate::outcome::{Measured, RunError};

/// One member of a solve, compiled. Members that differ in their first states only share their programs.
pub(super) struct Member {
    pub name: String,
    pub rounds: usize,
    pub states: Vec<String>,
    pub watched: Vec<String>,
    /// First values of the states.
    pub first: Arc<dyn Executable>,
    /// Next values of the states, then the watched scalars of the states as they are.
    pub step: Arc<dyn Executable>,
    /// What other programs read of the solved member, in the order of `results`.
    pub readout: Arc<dyn Executable>,
    pub results: Vec<TermId>,
}

/// Everything that is computed for one sample.
pub(super) struct Programs {
    pub members: Vec<Member>,
    /// The output if there is one, then the values of the evaluations.
    pub last: Option<Arc<dyn Executable>>,
    pub has_output: bool,
    /// `eval.value` of each value.
    pub names: Vec<String>,
    /// Names of evaluations with the names of their values.
    pub measured: Vec<(String, Vec<String>)>,
    /// Evaluations that are left out, with the reason.
    pub skipped: Vec<Measured>,
    /// Means over data sets.
    pub averages: HashMap<TermId, Vec<f32>>,
    /// See [`Options::check_nan`].
    pub check_nan: Option<NonZeroUsize>,
}

struct Compiler<'a> {
    spec: &'a Spec,
    options: &'a Options,
    known: HashMap<String, Arc<dyn Executable>>,
}

impl Programs {
    pub fn new(spec: &Spec, number: usize, set: &dyn DataSet, options: &Options, sets: &[Box<dyn DataSet>]) -> Result<Programs, RunError> {
        let mut compiler = Compiler { spec, options, known: HashMap::new() };
        let mut programs = Programs {
            members: Vec::new(),
            last: None,
            has_output: false,
            names: Vec::new(),
            measured: Vec::new(),
            skipped: Vec::new(),
            averages: HashMap::new(),
            check_nan: options.check_nan,
        };
        let roots = programs.roots(spec, number, set);
        if roots.is_empty() {
            return Ok(programs);
        }
        let (solved, averages) = outside(spec, &roots);
        for id in averages {
            let mean = compiler.average(id, sets)?;
            programs.averages.insert(id, mean);
        }
        for (solve, item) in spec.solves.iter().enumerate() {
            for member in 0..item.members.len() {
                let results: Vec<TermId> = solved
                    .iter()
                    .copied()
                    .filter(|id| matches!(spec.terms.get(*id).prim, Prim::Solved { solve: s, member: m } if (s, m) == (solve, member)))
                    .collect();
                if !results.is_empty() {
                    programs.members.push(compiler.member(solve, member, results)?);
                }
            }
        }
        programs.last = Some(compiler.compile(&roots)?);
        Ok(programs)
    }

    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Output and evaluations over this data item; those without their labels are set aside.
    fn roots(&mut self, spec: &Spec, number: usize, set: &dyn DataSet) -> Vec<(String, TermId)> {
        let mut roots = Vec::new();
        if let Some(output) = spec.output.as_ref().filter(|output| output.data == number) {
            roots.push((output.name.clone(), output.value));
            self.has_output = true;
        }
        for eval in spec.evals.iter().filter(|eval| matches!(eval.over, Over::Data(data, _) if data == number)) {
            if eval.needs_labels && !set.has_labels() {
                let why = "the data has no ground truth: give `labels`, a folder of masks".to_owned();
                self.skipped.push(Measured { name: eval.name.clone(), values: Vec::new(), samples: 0, skipped: Some(why) });
                continue;
            }
            for (value, id) in &eval.values {
                self.names.push(full_name(&eval.name, value));
                roots.push((full_name(&eval.name, value), *id));
            }
            self.measured.push((eval.name.clone(), eval.values.iter().map(|(value, _)| value.clone()).collect()));
        }
        roots
    }
}

/// All `Solved` and all `Average` terms that roots need, also through the solves themselves. What an average is taken of is computed
/// apart, before any solve.
fn outside(spec: &Spec, roots: &[(String, TermId)]) -> (BTreeSet<TermId>, BTreeSet<TermId>) {
    let (mut solved, mut averages) = (BTreeSet::new(), BTreeSet::new());
    let (mut seen, mut open) = (BTreeSet::new(), roots.iter().map(|(_, id)| *id).collect::<Vec<_>>());
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let term = spec.terms.get(id);
        match term.prim {
            Prim::Average { .. } => {
                averages.insert(id);
                continue;
            }
            Prim::Solved { solve, member } => {
                solved.insert(id);
                let member = &spec.solves[solve].members[member];
                open.extend(member.states.iter().flat_map(|state| [state.first, state.next]));
                open.extend(member.watched.iter().map(|(_, id)| *id));
            }
            _ => {}
        }
        open.extend(&term.args);
    }
    (solved, averages)
}

impl Compiler<'_> {
    fn compile(&mut self, roots: &[(String, TermId)]) -> Result<Arc<dyn Executable>, RunError> {
        let refused = |fault: Fault| RunError::Spec(Box::new(fault));
        let program = segc_compiler::compile(self.spec, roots, &Request::default(), self.options.fused).map_err(refused)?;
        let key = format!("{:?} {:?} {:?}", program.inputs, program.kernels, program.outputs);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let ready = self.options.on.device().prepare(program)?;
        let ready: Arc<dyn Executable> = match self.options.check_nan {
            None => ready.into(),
            Some(_) => {
                let single = segc_compiler::compile(self.spec, roots, &Request::default(), false).map_err(refused)?;
                Arc::new(Watched { fused: ready, single: self.options.on.device().prepare(single)? })
            }
        };
        self.known.insert(key, ready.clone());
        Ok(ready)
    }

    fn member(&mut self, solve: usize, member: usize, results: Vec<TermId>) -> Result<Member, RunError> {
        let item = &self.spec.solves[solve];
        let own = &item.members[member];
        let first: Vec<_> = own.states.iter().map(|state| (state.name.clone(), state.first)).collect();
        let next = own.states.iter().map(|state| (format!("next {}", state.name), state.next));
        let step: Vec<_> = next.chain(own.watched.iter().cloned()).collect();
        let inner: Vec<_> = results.iter().enumerate().map(|(i, id)| (format!("result {i}"), self.spec.terms.get(*id).args[0])).collect();
        Ok(Member {
            name: own.name.clone(),
            rounds: item.rounds,
            states: own.states.iter().map(|state| state.name.clone()).collect(),
            watched: own.watched.iter().map(|(name, _)| name.clone()).collect(),
            first: self.compile(&first)?,
            step: self.compile(&step)?,
            readout: self.compile(&inner)?,
            results,
        })
    }

    /// The mean of a term over a data set, in the order of the data.
    fn average(&mut self, id: TermId, sets: &[Box<dyn DataSet>]) -> Result<Vec<f32>, RunError> {
        let term = self.spec.terms.get(id);
        let Prim::Average { data, part } = term.prim else { return Ok(Vec::new()) };
        let ready = self.compile(&[("mean".to_owned(), term.args[0])])?;
        let mut scratch = ready.scratch();
        let mut sum = vec![0.0f64; scratch.outputs[0].len()];
        let mut count = 0usize;
        let set = &sets[data];
        let part = if part == Part::Whole { super::part(self.spec, data) } else { part };
        for index in 0..set.len(part) {
            let Ok(sample) = set.sample(part, index) else { continue };
            let inputs: Option<Vec<&[f32]>> = ready.program().inputs.iter().map(|(leaf, _)| field(leaf, data, &sample)).collect();
            let inputs = inputs.ok_or_else(|| RunError::Usage("an average can only read fields of the data it goes over".into()))?;
            super::watch::run(ready.as_ref(), &inputs, &mut scratch, self.options.check_nan.is_some(), || {
                format!("image {}", sample.stem)
            })?;
            sum.iter_mut().zip(&scratch.outputs[0]).for_each(|(sum, x)| *sum += f64::from(*x));
            count += 1;
        }
        Ok(sum.into_iter().map(|sum| (sum / count.max(1) as f64) as f32).collect())
    }
}

/// The field of a sample that a leaf stands for.
pub(super) fn field<'a>(leaf: &Leaf, data: usize, sample: &'a crate::data::Sample) -> Option<&'a [f32]> {
    match leaf {
        Leaf::Field(number, name) if *number == data => sample.fields.get(name).map(Vec::as_slice),
        _ => None,
    }
}
