//! What is proved on the terms: where labels go, whether gradients arrive, whether states matter.

use super::{Elaborator, Sink};
use crate::fault::Fault;
use crate::params::Moment;
use crate::source::Span;
use crate::spec::{Binary, Distribution, Prim, TermId, Unary};

impl Elaborator<'_> {
    /// All checks on terms.
    pub(super) fn check_terms(&mut self, moment: Moment) {
        self.check_labels();
        self.check_gradients();
        if moment == Moment::End {
            self.note_draws();
            self.check_states();
        }
        self.check_data();
    }

    fn terms_len(&self) -> usize {
        self.store.terms.len()
    }

    fn term(&self, place: usize) -> &crate::spec::Term {
        self.store.terms.get(TermId(place as u32))
    }

    /// For each term whether `start` or an argument has the property; `oracle` may cut it.
    fn spreads(&self, start: impl Fn(&Prim) -> bool, through: impl Fn(&Prim) -> bool) -> Vec<bool> {
        let mut marked = vec![false; self.terms_len()];
        for place in 0..marked.len() {
            let term = self.term(place);
            let mut from = term.args.iter().copied().chain(self.collected_of(&term.prim));
            marked[place] = start(&term.prim) || (through(&term.prim) && from.any(|arg| marked[arg.0 as usize]));
        }
        marked
    }

    /// Whether a value comes from ground truth.
    pub(super) fn knows_labels(&self, id: TermId) -> bool {
        self.knows(id, is_label)
    }

    /// Whether a value comes from a model.
    pub(super) fn knows_weights(&self, id: TermId) -> bool {
        self.knows(id, |prim| matches!(prim, Prim::Weight(_)))
    }

    fn knows(&self, id: TermId, what: impl Fn(&Prim) -> bool) -> bool {
        let mut open = vec![id];
        let mut seen = vec![false; self.terms_len()];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            let term = self.store.terms.get(id);
            if what(&term.prim) {
                return true;
            }
            open.extend(term.args.iter().copied().chain(self.collected_of(&term.prim)));
        }
        false
    }

    /// What a run would compute and is not executed there yet: values of the batch.
    fn note_draws(&mut self) {
        let nexts = self.spec.solves.iter().flat_map(|solve| &solve.members).flat_map(|member| &member.states);
        let roots: Vec<TermId> = self.reads.iter().map(|(id, ..)| *id).chain(nexts.flat_map(|state| [state.first, state.next])).collect();
        let mut met = vec![false; self.terms_len()];
        for root in roots {
            self.mark_cone(root, &mut met);
        }
        for (place, _) in met.iter().enumerate().filter(|(_, met)| **met) {
            let term = self.term(place);
            if let Some(what) = unexecuted(&term.prim) {
                let span = term.span;
                self.refuse(what, span);
            }
        }
    }

    fn check_labels(&mut self) {
        let tainted = self.spreads(is_label, |prim| *prim != Prim::Oracle);
        let Some(label) = (0..tainted.len()).find(|place| is_label(&self.term(*place).prim)) else { return };
        let label = self.term(label).span;
        let mut found: Vec<(Span, &str, &str)> = Vec::new();
        let gradients = "a ground-truth mask decides where a gradient points";
        for (id, span, sink) in &self.sinks {
            if tainted[id.0 as usize] {
                let (message, what) = match sink {
                    Sink::Gradient => (gradients, "this is differentiated"),
                    Sink::Loss => ("a ground-truth mask decides what is trained", "this is a loss"),
                    Sink::Decision(what) => ("a ground-truth mask decides what is trained", *what),
                    Sink::State => ("a ground-truth mask decides how a mask moves", "this is a state's value"),
                    Sink::Output => ("a ground-truth mask reaches the output", "this is written as the result"),
                };
                found.push((*span, message, what));
            }
        }
        for (id, span) in &self.chosen {
            if tainted[id.0 as usize] {
                found.retain(|(_, _, what)| *what != "this is written as the result");
                found.push((*span, "a ground-truth mask decides which value is taken", "this chooses"));
            }
        }
        if found.iter().any(|(_, message, _)| *message == gradients) {
            found.retain(|(_, message, what)| *message == gradients || *what == "this chooses" || *what == "this is written as the result");
        }
        for (span, message, what) in found {
            let fault = Fault::error("label-leak", message, span, what).also(label, "computed from this");
            self.calls.clear();
            self.fault(fault.help("Labels are for evaluation. If this is meant, write `oracle(..)` around it: the report will say so."));
        }
    }

    fn check_gradients(&mut self) {
        for (grad, y_span, x_span) in std::mem::take(&mut self.gradients) {
            let args = self.store.terms.get(grad).args.clone();
            let [y, x] = args.as_slice() else { continue };
            if let Some(fault) = self.stopped(*y, *x, (y_span, x_span)) {
                self.fault(fault);
            }
        }
    }

    /// The fault of a gradient that does not arrive.
    fn stopped(&self, y: TermId, x: TermId, (y_span, x_span): (Span, Span)) -> Option<Fault> {
        let count = y.0.max(x.0) as usize + 1;
        let (mut any, mut smooth) = (vec![false; count], vec![false; count]);
        (any[x.0 as usize], smooth[x.0 as usize]) = (true, true);
        for place in x.0 as usize + 1..count {
            let term = self.term(place);
            any[place] = term.args.iter().any(|arg| any[arg.0 as usize]);
            smooth[place] = term.args.iter().enumerate().any(|(at, arg)| smooth[arg.0 as usize] && passes(&term.prim, at));
        }
        if smooth[y.0 as usize] {
            return None;
        }
        let sources = &self.modules.sources;
        let by = sources.slice(x_span);
        if !any[y.0 as usize] {
            let fault = Fault::error("gradient-stops", format!("this is not computed from `{by}`"), y_span, "does not change with it");
            return Some(
                fault
                    .also(x_span, "the gradient is asked for by this")
                    .help("A gradient is taken by a name that the value is computed from."),
            );
        }
        let within = self.cone(y);
        let stop = (x.0 as usize + 1..count).find(|place| {
            let term = self.term(*place);
            within[*place] && any[*place] && !smooth[*place] && term.args.iter().any(|arg| smooth[arg.0 as usize])
        })?;
        let term = self.term(stop);
        let fault = Fault::error(
            "gradient-stops",
            format!("no gradient by `{by}` arrives: every path ends at a step"),
            y_span,
            "this is differentiated",
        )
        .also(term.span, format!("the path ends here: {}", why(&term.prim)));
        Some(fault.help("Keep the soft value where a gradient is needed, and threshold elsewhere."))
    }

    /// For each weight whether a gradient of a term arrives at it.
    pub(super) fn reached(&self, y: TermId) -> Vec<bool> {
        let mut reached = vec![false; self.spec.weights.len()];
        let mut seen = vec![false; y.0 as usize + 1];
        let mut open = vec![y];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            let term = self.store.terms.get(id);
            if let Prim::Weight(number) = term.prim {
                reached[number] = true;
            }
            open.extend(term.args.iter().enumerate().filter(|(at, _)| passes(&term.prim, *at)).map(|(_, arg)| *arg));
        }
        reached
    }

    /// Where the paths from weights to a term end for gradients, and why; none where there is no path.
    pub(super) fn stop_before(&self, y: TermId, weights: &[usize]) -> Option<(TermId, &'static str)> {
        let within = self.cone(y);
        let mut smooth = vec![false; y.0 as usize + 1];
        let mut stop = None;
        for place in (0..=y.0 as usize).filter(|place| within[*place]) {
            let term = self.term(place);
            let starts = matches!(term.prim, Prim::Weight(number) if weights.contains(&number));
            let comes = |at: usize, arg: &TermId| smooth[arg.0 as usize] && passes(&term.prim, at);
            if !starts
                && term.args.iter().any(|arg| smooth[arg.0 as usize])
                && !term.args.iter().enumerate().any(|(at, arg)| comes(at, arg))
            {
                stop = stop.or(Some(TermId(place as u32)));
            }
            smooth[place] = starts || term.args.iter().enumerate().any(|(at, arg)| comes(at, arg));
        }
        stop.map(|stop| (stop, why(&self.store.terms.get(stop).prim)))
    }

    /// The definitions of the spec that lie between a term and one that it is computed from, the former's first.
    pub(super) fn way_to(&self, y: TermId, from: TermId) -> Vec<String> {
        let mut comes = vec![false; y.0 as usize + 1];
        for place in from.0 as usize..comes.len() {
            comes[place] = place == from.0 as usize || self.term(place).args.iter().any(|arg| comes[arg.0 as usize]);
        }
        let (mut here, mut way) = (y, Vec::new());
        loop {
            let term = self.store.terms.get(here);
            if let Some(name) = self.item_at(term.span).filter(|name| way.last() != Some(name)) {
                way.push(name);
            }
            match term.args.iter().find(|arg| comes[arg.0 as usize]) {
                Some(next) if here != from => here = *next,
                _ => return way,
            }
        }
    }

    /// The definition of the spec in which a place is.
    fn item_at(&self, span: Span) -> Option<String> {
        let module = self.chain.iter().find(|module| self.modules.list[module.0].source == span.source)?;
        let items = &self.modules.list[module.0].file.items;
        let item = items.iter().position(|item| item.span.start <= span.start && span.end <= item.span.end)?;
        let names = self.modules.list[module.0].names.iter();
        let mut own = names.filter(|(_, ids)| ids.iter().any(|id| id.item == item && id.module == *module));
        own.next().map(|(name, _)| name.clone())
    }

    /// The terms that a term is computed from, and itself.
    fn cone(&self, id: TermId) -> Vec<bool> {
        let mut within = vec![false; self.terms_len()];
        self.mark_cone(id, &mut within);
        within
    }

    fn mark_cone(&self, id: TermId, within: &mut [bool]) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut within[id.0 as usize], true) {
                open.extend(&self.store.terms.get(id).args);
            }
        }
    }

    /// A state that nothing reads at the end, or that no gradient moves.
    fn check_states(&mut self) {
        let mut faults = Vec::new();
        let read = self.read_states();
        for (number, solve) in self.spec.solves.iter().enumerate() {
            let Some(member) = solve.members.first() else { continue };
            let moved: Vec<bool> = member.states.iter().map(|state| self.moved(state.next)).collect();
            for (place, state) in member.states.iter().enumerate() {
                let span = self.store.terms.get(state.leaf).span;
                let name = &state.name;
                if !read.contains(&(number, place)) {
                    let message = format!("nothing reads the state `{name}` of `{}`", solve.name);
                    let fault = Fault::warning("unreached-state", message, span, "computed for nothing");
                    faults.push(fault.help(format!("Read it after the last step, as in `{}[..].{name}`, or drop it.", solve.name)));
                } else if state.next != state.leaf && !moved.iter().any(|moved| *moved) {
                    let message = format!("no gradient moves the state `{name}` of `{}`", solve.name);
                    let fault = Fault::warning("unreached-state", message, self.store.terms.get(state.next).span, "its next value");
                    faults.push(fault.help("A solve follows an objective: `grad(objective, wrt: ..)` should reach the next value."));
                }
            }
        }
        self.calls.clear();
        for fault in faults {
            self.fault(fault);
        }
    }

    /// States on which a final value depends, by solve and number: directly, or through the next value of one that is read.
    fn read_states(&self) -> Vec<(usize, usize)> {
        let mut read: Vec<(usize, usize)> = Vec::new();
        let mut open: Vec<TermId> = Vec::new();
        for place in 0..self.terms_len() {
            if matches!(self.term(place).prim, Prim::Solved { .. }) {
                open.extend(&self.term(place).args);
            }
        }
        let mut seen = vec![false; self.terms_len()];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            let term = self.store.terms.get(id);
            if let Prim::State { solve, member, state } = term.prim {
                read.push((solve, state));
                let own =
                    self.spec.solves.get(solve).and_then(|solve| solve.members.get(member)).and_then(|member| member.states.get(state));
                open.extend(own.map(|state| state.next));
            }
            open.extend(&term.args);
        }
        read
    }

    fn moved(&self, next: TermId) -> bool {
        let cone = self.cone(next);
        (0..cone.len()).any(|place| cone[place] && matches!(self.term(place).prim, Prim::Grad))
    }

    /// An evaluation over one data item reads no other.
    fn check_data(&mut self) {
        let mut reads = std::mem::take(&mut self.reads);
        reads.append(&mut self.averages);
        self.calls.clear();
        for (id, span, data) in reads {
            let Some(place) = self.foreign(id, data) else { continue };
            let Prim::Field { data: other, .. } = self.term(place).prim else { continue };
            let (own, other) = (data.map(|data| self.spec.data[data].name.clone()), self.spec.data[other].name.clone());
            let own = own.map_or("samples without data".to_string(), |own| format!("`{own}`"));
            let fault = Fault::error("other-data", format!("this goes over {own} but reads `{other}`"), span, format!("goes over {own}"));
            let fault = fault.also(self.term(place).span, format!("reads `{other}`"));
            self.fault(
                fault.help("Samples of two data items have nothing to do with each other: read fields of the one that it goes over."),
            );
        }
    }

    /// A field of another data item among what a term is computed from; a value averaged over its own data is shared.
    fn foreign(&self, id: TermId, data: Option<usize>) -> Option<usize> {
        let mut open = vec![id];
        let mut seen = vec![false; self.terms_len()];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            let term = self.store.terms.get(id);
            match term.prim {
                Prim::Field { data: own, .. } if Some(own) != data => return Some(id.0 as usize),
                Prim::Average { .. } => {}
                Prim::Solved { solve, member } => {
                    open.extend(&term.args);
                    let states = self.spec.solves.get(solve).and_then(|solve| solve.members.get(member));
                    open.extend(states.iter().flat_map(|member| &member.states).flat_map(|state| [state.first, state.next]));
                }
                _ => open.extend(&term.args),
            }
        }
        None
    }
}

fn is_label(prim: &Prim) -> bool {
    matches!(prim, Prim::Field { field, .. } if field == "label" || field == "boxes")
}

fn unexecuted(prim: &Prim) -> Option<&'static str> {
    Some(match prim {
        Prim::Batch(_) | Prim::SampleIndex => "values of the whole batch",
        _ => return None,
    })
}

/// Whether a gradient passes to the argument at this place.
fn passes(prim: &Prim, at: usize) -> bool {
    match prim {
        Prim::Unary(op) => !matches!(op, Unary::Floor | Unary::Round | Unary::Not),
        Prim::Binary(op) => {
            matches!(
                op,
                Binary::Add
                    | Binary::Subtract
                    | Binary::Multiply
                    | Binary::Divide
                    | Binary::Power
                    | Binary::Max
                    | Binary::Min
                    | Binary::Modulo
            )
        }
        Prim::Where => at > 0,
        Prim::PickAt(_) => at == 0,
        Prim::Draw { from, .. } => matches!(from, Distribution::Normal | Distribution::Uniform),
        Prim::ArgMax(_) | Prim::Order(_) | Prim::Stop | Prim::Host { .. } | Prim::Average { .. } | Prim::Solved { .. } => false,
        _ => true,
    }
}

fn why(prim: &Prim) -> &'static str {
    match prim {
        Prim::Stop => "`stop` lets no gradient through",
        Prim::Unary(Unary::Floor | Unary::Round) => "rounding has slope zero",
        Prim::ArgMax(_) | Prim::Order(_) => "a place has no slope",
        Prim::Host { .. } => "an algorithm of the host has no gradient",
        Prim::Average { .. } | Prim::Solved { .. } => "no gradient passes through what is computed beforehand",
        _ => "a comparison has slope zero",
    }
}
