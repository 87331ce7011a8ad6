//! Elaboration: what is known when compiling is evaluated, the rest becomes typed terms over named axes.
//!
//! It is driven by demand: an item is evaluated when something reads it, once. Functions are inlined. What is parsed and checked
//! but not executed yet poisons quietly what depends on it ([`value::Abort::Pending`]) and is listed in [`Spec::pending`].

mod along;
mod batch;
mod bracket;
mod builtin;
mod call;
mod checks;
mod collect;
mod data;
mod deciding;
mod degenerate;
mod draw;
mod evaluate;
mod expr;
mod fit;
mod forwards;
mod independence;
mod maps;
mod moment;
mod names;
mod net;
mod number;
mod official;
mod ops;
mod origins;
mod phases;
mod pixels;
mod reading;
mod root;
mod scene;
mod settings;
mod show;
mod solve;
mod stored;
mod terms;
#[cfg(test)]
mod tests;
mod time;
mod training;
mod updates;
pub mod value;
mod wanted;

use std::collections::HashMap;
use std::rc::Rc;

pub use show::show;

use crate::fault::{Fault, Severity};
use crate::modules::{ModuleId, Modules};
use crate::params::{Moment, Overrides};
use crate::source::Span;
use crate::spec::{Axis, Pending, Spec, TermId};
use crate::syntax::{ItemKind, Perturb};
use crate::threads;
use moment::{Stage, Trains, World};
use settings::{Asked, Settings};
use terms::Store;
use value::{Abort, Origin, Origins, Scene, Scope};

/// Stack of the thread that elaborates: recurrences nest deeply.
const STACK: usize = 256 << 20;

/// Elaborates a spec with its params as asked for. There is a spec where no fault is an error.
pub fn elaborate(modules: &Modules, overrides: &Overrides) -> (Option<Spec>, Vec<Fault>) {
    let asked = settings::asked(overrides);
    on_a_large_stack(|| {
        let (spec, faults) = Elaborator::new(modules, overrides).finish(overrides, &asked);
        (sound(&faults).then_some(spec), faults)
    })
}

/// Elaborates a spec for the end, and for its phases to find their faults, too: of a family of phases the first and the last. A fault
/// of several moments is reported once.
pub fn with_phases(modules: &Modules, overrides: &Overrides) -> (Option<Spec>, Vec<Fault>) {
    let asked = settings::asked(overrides);
    let mut moments = Vec::new();
    let (spec, mut faults) = on_a_large_stack(|| {
        let (spec, faults) = Elaborator::new(modules, overrides).finish(overrides, &asked);
        moments = self::moments(&spec);
        (Some(spec), faults)
    });
    for moments in moments.chunks(threads::most()) {
        for later in side_by_side(moments, |moment| in_moment(modules, overrides, &asked, moment)) {
            let place = |fault: &Fault| fault.labels.first().map(|(span, _)| *span);
            for fault in later {
                if !faults.iter().any(|known| known.code == fault.code && place(known) == place(&fault)) {
                    faults.push(fault);
                }
            }
        }
    }
    (spec.filter(|_| sound(&faults)), faults)
}

/// The faults of one moment.
fn in_moment(modules: &Modules, overrides: &Overrides, asked: &[Asked], moment: Moment) -> Vec<Fault> {
    let overrides = Overrides { moment, ..overrides.clone() };
    let (spec, faults) = Elaborator::new(modules, &overrides).finish(&overrides, asked);
    faults.into_iter().map(|fault| told_where(fault, modules, &spec, moment)).collect()
}

/// The same work for several moments, each on a thread of its own; results in the order of the moments.
fn side_by_side(moments: &[Moment], work: impl Fn(Moment) -> Vec<Fault> + Sync) -> Vec<Vec<Fault>> {
    let one = |moment| on_a_large_stack(|| (None, work(moment))).1;
    std::thread::scope(|threads| {
        let running: Vec<_> = moments.iter().map(|moment| threads.spawn(|| one(*moment))).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// A fault outside of the text of a phase also shows the phase in which it is one.
fn told_where(fault: Fault, modules: &Modules, spec: &Spec, moment: Moment) -> Fault {
    let Moment::Phase { number, .. } = moment else { return fault };
    let Some(phase) = spec.phases.get(number) else { return fault };
    let items = modules.of_source(phase.span.source).map_or(&[][..], |module| &modules.module(module).file.items);
    let inside = |outer: Span, span: Span| outer.source == span.source && outer.start <= span.start && span.end <= outer.end;
    let own = items.iter().find(|item| inside(item.span, phase.span));
    if own.is_some_and(|item| fault.labels.iter().any(|(span, _)| inside(item.span, *span))) {
        return fault;
    }
    fault.also(phase.span, format!("in the phase `{}`", phase.name))
}

/// The moments of a spec's phases whose faults are those of all.
fn moments(spec: &Spec) -> Vec<Moment> {
    let phases = &spec.phases;
    let inside =
        |at: usize| at > 0 && phases.get(at + 1).is_some_and(|next| next.span == phases[at].span && phases[at - 1].span == next.span);
    let told = (0..phases.len()).filter(|at| !inside(*at) && phases[*at].length.amount > 0.0);
    told.flat_map(|number| [true, false].map(|training| Moment::Phase { number, training })).collect()
}

fn sound(faults: &[Fault]) -> bool {
    faults.iter().all(|fault| fault.severity != Severity::Error)
}

fn on_a_large_stack(work: impl FnOnce() -> (Option<Spec>, Vec<Fault>) + Send) -> (Option<Spec>, Vec<Fault>) {
    let outcome = std::thread::scope(|threads| {
        let thread = std::thread::Builder::new().name("elaborate".into()).stack_size(STACK).spawn_scoped(threads, work);
        thread.map(|thread| thread.join())
    });
    match outcome {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => {
            let message = format!("no thread could be started: {error}");
            let help = Some("Free some memory, or raise the limit on processes.".into());
            (None, vec![Fault { code: "no-thread", severity: Severity::Error, message, labels: Vec::new(), help }])
        }
    }
}

/// Why a label must not reach a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    Gradient,
    Loss,
    Decision(&'static str),
    State,
    Output,
}

/// The state of one elaboration.
pub(crate) struct Elaborator<'m> {
    modules: &'m Modules,
    /// The spec and the files that it extends, the innermost first.
    chain: Vec<ModuleId>,
    /// The definitions as they stand at several times, and which of them are read now.
    worlds: Vec<World<'m>>,
    world: usize,
    /// Worlds that evaluations set, by evaluation and the world outside.
    eval_worlds: HashMap<(usize, usize), usize>,
    /// The same worlds with all models settled.
    settled_worlds: HashMap<usize, usize>,
    axes: HashMap<&'m str, Axis>,
    settings: Settings<'m>,
    store: Store,
    spec: Spec,
    faults: Vec<Fault>,
    /// Scopes of the members of solves, by solve and member.
    members: HashMap<(usize, usize), Rc<Scope<'m>>>,
    /// Numbers of weights by path, and where they were needed first.
    weight_paths: HashMap<String, (usize, Span)>,
    /// The same of states.
    buffer_paths: HashMap<String, (usize, Span)>,
    /// Numbers of the maps of official names in the spec, by their items.
    maps: HashMap<(ModuleId, usize), usize>,
    /// Calls that change no state, by the path of the instance.
    idle_calls: HashMap<Rc<str>, usize>,
    /// What is being evaluated, to show the way round a cycle.
    running: Vec<(String, Span)>,
    /// Calls that are being inlined.
    calls: Vec<Span>,
    /// Origins of expressions that need something pending, by expression and scope, which are kept alive.
    origins: HashMap<(usize, usize), (Rc<Scope<'m>>, Origins)>,
    /// Perturbations, whose independence is proved when all else is evaluated.
    perturbations: Vec<(&'m Perturb, Rc<Scene<'m>>)>,
    /// Fields of scenes are not asked: they have no value and no origin.
    hollow: bool,
    depth: usize,
    evaluations: u64,
    exhausted: bool,
    /// Terms that labels must not reach.
    sinks: Vec<(TermId, Span, Sink)>,
    /// Gradients, the places of what is differentiated and by what.
    gradients: Vec<(TermId, Span, Span)>,
    /// Run-time indices: they choose.
    chosen: Vec<(TermId, Span)>,
    /// Terms under `average` and the data over which it goes.
    averages: Vec<(TermId, Span, Option<usize>)>,
    /// Terms of evaluations and outputs and the data over which they go, if any.
    reads: Vec<(TermId, Span, Option<usize>)>,
}

impl<'m> Elaborator<'m> {
    fn new(modules: &'m Modules, overrides: &Overrides) -> Elaborator<'m> {
        let mut chain = vec![modules.root];
        while let Some(base) = chain.last().and_then(|last| modules.base.get(last)) {
            if chain.contains(base) {
                break;
            }
            chain.push(*base);
        }
        chain.reverse();
        let root = &modules.list[modules.root.0];
        let name = root.name.rsplit(['/', '\\']).next().unwrap_or_default().trim_end_matches(".seg").to_string();
        let all = matches!(overrides.moment, Moment::Phase { training: true, .. }) || overrides.training;
        let trains = if overrides.training { Trains::All } else { Trains::None };
        let stage = Stage { training: all, trains, batch: overrides.batch };
        let mut elaborator = Elaborator {
            modules,
            chain,
            worlds: vec![World::new(modules, stage)],
            world: 0,
            eval_worlds: HashMap::new(),
            settled_worlds: HashMap::new(),
            axes: HashMap::new(),
            settings: Settings::default(),
            store: Store::default(),
            spec: Spec { name, ..Spec::default() },
            faults: Vec::new(),
            members: HashMap::new(),
            weight_paths: HashMap::new(),
            buffer_paths: HashMap::new(),
            maps: HashMap::new(),
            idle_calls: HashMap::new(),
            running: Vec::new(),
            calls: Vec::new(),
            origins: HashMap::new(),
            perturbations: Vec::new(),
            hollow: false,
            depth: 0,
            evaluations: 0,
            exhausted: false,
            sinks: Vec::new(),
            gradients: Vec::new(),
            chosen: Vec::new(),
            averages: Vec::new(),
            reads: Vec::new(),
        };
        elaborator.declare_axes();
        elaborator
    }

    /// Axes are numbered in the order of their declaration: the prelude's, then those of the other modules.
    fn declare_axes(&mut self) {
        let modules = self.modules;
        let order = std::iter::once(modules.prelude).chain((0..modules.list.len()).map(ModuleId).filter(|id| *id != modules.prelude));
        for module in order {
            for item in &modules.list[module.0].file.items {
                let Some(ItemKind::Axis(names, _)) = item.plain() else { continue };
                for name in names {
                    if !self.axes.contains_key(name.text.as_str()) {
                        self.axes.insert(&name.text, Axis(self.spec.axes.len() as u16));
                        self.spec.axes.push(name.text.clone());
                    }
                }
            }
        }
    }

    fn finish(mut self, overrides: &Overrides, asked: &'m [Asked]) -> (Spec, Vec<Fault>) {
        self.settle(&overrides.variants, asked);
        if self.faults.is_empty() {
            self.official_names();
            self.run(overrides.moment);
            self.want(&overrides.wanted);
            self.check_official();
        }
        self.check_terms(overrides.moment);
        let mut faults = Vec::new();
        for fault in std::mem::take(&mut self.faults) {
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
        self.sort_weights();
        self.spec.terms = self.store.terms;
        (self.spec, faults)
    }

    /// Records a fault. One inside the library also shows the call in the spec that led there.
    fn fault(&mut self, mut fault: Fault) -> Abort {
        if let Some((first, _)) = fault.labels.first() {
            let place = self.own_place(*first);
            if place != *first {
                fault.labels.push((place, "called from here".into()));
            }
        }
        self.faults.push(fault);
        Abort::Faulted
    }

    /// The place in the spec itself: of a place in the library, the call that led there.
    fn own_place(&self, span: Span) -> Span {
        let own = |span: &Span| self.chain.iter().any(|module| self.modules.list[module.0].source == span.source);
        if own(&span) { span } else { self.calls.iter().rev().find(|call| own(call)).copied().unwrap_or(span) }
    }

    /// Something that is not executed yet. It is listed where what a run needs is computed from it ([`Elaborator::needed`]).
    fn pend(&mut self, what: &str, span: Span) -> Abort {
        Abort::Pending(Rc::new([Origin::Awaited(what.to_string(), span)].into()))
    }

    /// Lists what is not executed yet among that from which something that a run needs is computed.
    fn needed<T>(&mut self, outcome: Result<T, Abort>) -> Option<T> {
        match outcome {
            Ok(value) => return Some(value),
            Err(Abort::Faulted) => {}
            Err(Abort::Pending(origins)) => {
                for origin in origins.iter() {
                    if let Origin::Awaited(what, span) = origin {
                        self.refuse(what, *span);
                    }
                }
            }
        }
        None
    }

    /// Lists something that is not executed yet, once.
    fn refuse(&mut self, what: &str, span: Span) {
        if self.spec.pending.iter().all(|pending| pending.what != what) {
            self.spec.pending.push(Pending { what: what.to_string(), span });
        }
    }
}

/// The fault with the nearest known name as its next step.
fn nearest(mut fault: Fault, name: &str, known: &[String]) -> Fault {
    fault.help = crate::nearest::suggestion(name, known.iter().map(String::as_str));
    fault
}
