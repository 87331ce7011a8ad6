//! Which terms a program needs and in what order, with the states of models threaded through the calls of one turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use segc_lang::fault::Fault;
use segc_lang::spec::{Call, Prim, Spec, TermId};

/// The terms of a program.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// All terms, what they need first.
    pub terms: Vec<TermId>,
    /// For each `Buffer` term that finds what a former call leaves that next value; the others find the state before the turn.
    pub found: HashMap<TermId, TermId>,
    /// What the turn leaves: number of the state and its last next value.
    pub left: Vec<(usize, TermId)>,
}

/// Orders the terms that `roots` need, and with `states` also what the calls leave. Errors: calls that need what a later one leaves.
pub(super) fn order(spec: &Spec, roots: &[(String, TermId)], states: bool) -> Result<Order, Fault> {
    let mut walk = Walk { spec, roots, states, made: BTreeSet::new(), order: Order::default() };
    // A call that is found late may stand between two known ones, so the walk is repeated until no call is new.
    loop {
        let before = walk.made.len();
        let needed = walk.needed();
        if walk.made.len() == before {
            walk.order.left = walk.left();
            walk.order.terms = walk.sorted(&needed)?;
            return Ok(walk.order);
        }
    }
}

struct Walk<'a> {
    spec: &'a Spec,
    roots: &'a [(String, TermId)],
    states: bool,
    made: BTreeSet<usize>,
    order: Order,
}

impl Walk<'_> {
    /// All terms that are needed as far as calls are known; finds further calls.
    fn needed(&mut self) -> BTreeSet<TermId> {
        self.order.found.clear();
        let mut needed = BTreeSet::new();
        let mut open: Vec<_> = self.roots.iter().map(|(_, id)| *id).collect();
        if self.states {
            open.extend(self.left().into_iter().map(|(_, next)| next));
        }
        while let Some(id) = open.pop() {
            if !needed.insert(id) {
                continue;
            }
            match self.spec.terms.get(id).prim {
                Prim::Called(call) => _ = self.made.insert(call),
                Prim::Buffer { buffer, call } => {
                    self.made.insert(call);
                    if let Some(next) = self.former(buffer, Some(call)) {
                        self.order.found.insert(id, next);
                    }
                }
                _ => {}
            }
            open.extend(self.before(id));
        }
        needed
    }

    /// What a term needs directly.
    fn before(&self, id: TermId) -> Vec<TermId> {
        let term = self.spec.terms.get(id);
        match term.prim {
            Prim::Solved { .. } | Prim::Average { .. } => Vec::new(),
            _ => term.args.iter().chain(self.order.found.get(&id)).copied().collect(),
        }
    }

    /// What the last call before `call`, or the last of all, leaves in a state.
    fn former(&self, buffer: usize, call: Option<usize>) -> Option<TermId> {
        let key = |number: usize| (&self.spec.calls[number].order, number);
        let leaves = |call: &Call| call.states.iter().find(|(own, _)| *own == buffer).and_then(|(_, next)| *next);
        let earlier = self.made.iter().copied().filter(|number| call.is_none_or(|call| key(*number) < key(call)));
        let leaving = earlier.filter_map(|number| Some((key(number), leaves(&self.spec.calls[number])?)));
        leaving.max_by(|a, b| a.0.cmp(&b.0)).map(|(_, next)| next)
    }

    fn left(&self) -> Vec<(usize, TermId)> {
        (0..self.spec.buffers.len()).filter_map(|buffer| Some((buffer, self.former(buffer, None)?))).filter(|_| self.states).collect()
    }

    /// The needed terms, each behind what it needs, otherwise by number.
    fn sorted(&self, needed: &BTreeSet<TermId>) -> Result<Vec<TermId>, Fault> {
        let mut missing: BTreeMap<TermId, usize> = BTreeMap::new();
        let mut users: BTreeMap<TermId, Vec<TermId>> = BTreeMap::new();
        for &id in needed {
            let before: BTreeSet<_> = self.before(id).into_iter().collect();
            missing.insert(id, before.len());
            before.into_iter().for_each(|operand| users.entry(operand).or_default().push(id));
        }
        let mut ready: BTreeSet<TermId> = missing.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        let mut sorted = Vec::new();
        while let Some(id) = ready.pop_first() {
            sorted.push(id);
            missing.remove(&id);
            for user in users.get(&id).into_iter().flatten() {
                if let Some(count) = missing.get_mut(user) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(*user);
                    }
                }
            }
        }
        match missing.keys().find(|id| self.order.found.contains_key(id)) {
            None => Ok(sorted),
            Some(id) => Err(self.circular(*id)),
        }
    }

    fn circular(&self, id: TermId) -> Fault {
        let span = self.spec.terms.get(id).span;
        let path = match self.spec.terms.get(id).prim {
            Prim::Buffer { buffer, .. } => self.spec.buffers[buffer].path.as_str(),
            _ => "a state",
        };
        Fault::error(
            "not-executable-yet",
            format!("`{path}` goes round: a call needs what a later call of the same model gives"),
            span,
            "found here",
        )
        .help("Calls of one turn are made in the order of the text: write the one that is needed first before the other.")
    }
}
