//! The programs of named terms over samples: first states, steps and results of solves, means over data sets, then the terms themselves.

use std::collections::BTreeSet;
use std::sync::Arc;

use segc_compiler::{Leaf, Request};
use segc_lang::spec::{Over, Prim, Spec, TermId};

use crate::execute::{Compiler, Executable};
use crate::outcome::RunError;

/// One member of a solve, compiled. Members that differ in their first states only share their programs.
pub(crate) struct Member {
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
pub(crate) struct Programs {
    /// Means over data sets that the others read.
    pub means: Vec<Mean>,
    pub members: Vec<Member>,
    /// The terms.
    pub last: Arc<dyn Executable>,
    /// Data items whose samples are read.
    pub reads: Vec<usize>,
}

/// Means over one data set: its `Average` terms and the programs of what is averaged.
pub(crate) struct Mean {
    pub over: Over,
    pub terms: Vec<TermId>,
    pub programs: Programs,
}

impl Programs {
    /// The programs of terms.
    pub fn new(spec: &Spec, roots: &[(String, TermId)], compiler: &mut Compiler) -> Result<Programs, RunError> {
        let (solved, averages) = outside(spec, roots);
        let mut means: Vec<Mean> = Vec::new();
        for (over, terms) in grouped(spec, averages) {
            let inner: Vec<_> = terms.iter().enumerate().map(|(i, id)| (format!("mean {i}"), spec.terms.get(*id).args[0])).collect();
            means.push(Mean { over, terms, programs: Programs::new(spec, &inner, compiler)? });
        }
        let mut members = Vec::new();
        for (solve, item) in spec.solves.iter().enumerate() {
            for member in 0..item.members.len() {
                let own =
                    |id: &TermId| matches!(spec.terms.get(*id).prim, Prim::Solved { solve: s, member: m } if (s, m) == (solve, member));
                let results: Vec<TermId> = solved.iter().copied().filter(own).collect();
                if !results.is_empty() {
                    members.push(self::member(spec, (solve, member), results, compiler)?);
                }
            }
        }
        let last = compiler.compile(spec, roots, &Request::default())?;
        let mut programs = Programs { means, members, last, reads: Vec::new() };
        programs.reads = programs.fields();
        Ok(programs)
    }

    /// All data items that are read, those of the means among them.
    pub fn data(&self) -> Vec<usize> {
        self.averaged().into_iter().chain(self.reads.iter().copied()).collect()
    }

    /// The data items that the means go over or read.
    pub fn averaged(&self) -> Vec<usize> {
        let over = |mean: &Mean| if let Over::Data(data, _) = mean.over { Some(data) } else { None };
        self.means.iter().flat_map(|mean| over(mean).into_iter().chain(mean.programs.data())).collect()
    }

    /// All that is read from outside, by the programs of the means too.
    pub fn leaves(&self) -> Vec<Leaf> {
        let means = self.means.iter().flat_map(|mean| mean.programs.leaves());
        means.chain(self.inputs().cloned()).collect()
    }

    /// The same without the programs of the means.
    pub fn inputs(&self) -> impl Iterator<Item = &Leaf> {
        let members = self.members.iter().flat_map(|member| [&member.first, &member.step, &member.readout]);
        members.chain([&self.last]).flat_map(|program| &program.program().inputs).map(|(leaf, _)| leaf)
    }

    /// Bytes that a thread needs to compute samples one after the other, beside what the programs read.
    pub fn worker_bytes(&self) -> u64 {
        let one = |program: &Arc<dyn Executable>| {
            let results: usize = program.program().outputs.iter().map(|(.., shape)| shape.iter().product::<usize>()).sum();
            program.needs().bytes() + 4 * results as u64
        };
        let members = self.members.iter().flat_map(|member| [&member.first, &member.step, &member.readout]);
        let own: u64 = members.chain([&self.last]).map(one).sum();
        // Means are computed before.
        self.means.iter().map(|mean| mean.programs.worker_bytes()).fold(own, u64::max)
    }

    fn fields(&self) -> Vec<usize> {
        let fields = self.inputs().filter_map(|leaf| if let Leaf::Field(data, _) = leaf { Some(*data) } else { None });
        fields.collect::<BTreeSet<_>>().into_iter().collect()
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

/// `Average` terms by what they go over: one pass serves all of one data set.
fn grouped(spec: &Spec, averages: BTreeSet<TermId>) -> Vec<(Over, Vec<TermId>)> {
    let mut groups: Vec<(Over, Vec<TermId>)> = Vec::new();
    for id in averages {
        let Prim::Average { data, part } = spec.terms.get(id).prim else { continue };
        let over = super::resolved(spec, Over::Data(data, part));
        match groups.iter_mut().find(|(own, _)| *own == over) {
            Some((_, terms)) => terms.push(id),
            None => groups.push((over, vec![id])),
        }
    }
    groups
}

fn member(spec: &Spec, (solve, member): (usize, usize), results: Vec<TermId>, compiler: &mut Compiler) -> Result<Member, RunError> {
    let item = &spec.solves[solve];
    let own = &item.members[member];
    let first: Vec<_> = own.states.iter().map(|state| (state.name.clone(), state.first)).collect();
    let next = own.states.iter().map(|state| (format!("next {}", state.name), state.next));
    let step: Vec<_> = next.chain(own.watched.iter().cloned()).collect();
    let inner: Vec<_> = results.iter().enumerate().map(|(i, id)| (format!("result {i}"), spec.terms.get(*id).args[0])).collect();
    Ok(Member {
        name: own.name.clone(),
        rounds: item.rounds,
        states: own.states.iter().map(|state| state.name.clone()).collect(),
        watched: own.watched.iter().map(|(name, _)| name.clone()).collect(),
        first: compiler.compile(spec, &first, &Request::default())?,
        step: compiler.compile(spec, &step, &Request::default())?,
        readout: compiler.compile(spec, &inner, &Request::default())?,
        results,
    })
}
