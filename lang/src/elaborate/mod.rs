//! Elaboration: what is known when compiling is evaluated, the rest becomes typed terms over named axes.
//!
//! It is driven by demand: an item is evaluated when something reads it, once. Functions are inlined. What is parsed and checked
//! but not executed yet poisons quietly what depends on it ([`value::Abort::Pending`]) and is listed in [`Spec::pending`].

mod along;
mod batch;
mod beside;
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
use std::sync::mpsc::Sender;

use rustc_hash::FxHashMap;

pub use beside::with_phases;
pub use show::show;

use crate::fault::{Fault, Severity};
use crate::modules::{ModuleId, Modules};
use crate::params::{Moment, Overrides};
use crate::source::Span;
use crate::spec::{Axis, Pending, Spec, TermId};
use crate::syntax::{ItemKind, Perturb};
use moment::{Stage, Trains, World};
use names::Meant;
use settings::{Asked, Settings};
use terms::Store;
use value::{Abort, MemberKey, Origin, Origins, Scene, Scope};

/// Stack of the thread that elaborates: recurrences nest deeply.
const STACK: usize = 256 << 20;

/// Elaborates a spec with its params as asked for. There is a spec where no fault is an error.
pub fn elaborate(modules: &Modules, overrides: &Overrides) -> (Option<Spec>, Vec<Fault>) {
    let asked = settings::asked(overrides);
    let work = || {
        let (spec, faults) = Elaborator::new(modules, overrides).finish(overrides, &asked);
        (sound(&faults).then_some(spec), faults)
    };
    on_a_large_stack(work, || {})
}

fn sound(faults: &[Fault]) -> bool {
    faults.iter().all(|fault| fault.severity != Severity::Error)
}

/// The outcome of work that recurs deeply; something else is done while it goes on.
fn on_a_large_stack(work: impl FnOnce() -> (Option<Spec>, Vec<Fault>) + Send, meanwhile: impl FnOnce()) -> (Option<Spec>, Vec<Fault>) {
    let outcome = std::thread::scope(|threads| {
        let thread = std::thread::Builder::new().name("elaborate".into()).stack_size(STACK).spawn_scoped(threads, work);
        meanwhile();
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
    /// Names of modules that were looked up.
    meant: FxHashMap<(ModuleId, &'m str), Meant<'m>>,
    /// Who is told the moments of the phases as soon as they are known.
    tell: Option<Sender<Vec<Moment>>>,
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
    running: Vec<(MemberKey<'m>, Span)>,
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
            meant: FxHashMap::default(),
            tell: None,
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

    fn finish(mut self, overrides: &'m Overrides, asked: &'m [Asked]) -> (Spec, Vec<Fault>) {
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
