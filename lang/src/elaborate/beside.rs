//! The phases of a spec are elaborated beside its end, for their faults.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use super::settings::{self, Asked};
use super::{Elaborator, STACK, on_a_large_stack, sound};
use crate::fault::Fault;
use crate::modules::Modules;
use crate::params::{Moment, Overrides};
use crate::source::Span;
use crate::spec::Spec;
use crate::threads;

/// Elaborates a spec for the end, and for its phases to find their faults, too: of a family of phases the first and the last. A fault
/// of several moments is reported once.
pub fn with_phases(modules: &Modules, overrides: &Overrides) -> (Option<Spec>, Vec<Fault>) {
    let asked = settings::asked(overrides);
    let open = Open { modules, overrides, asked: &asked, next: AtomicUsize::new(0), found: Mutex::default() };
    let (tell, told) = mpsc::channel();
    let end = || {
        let elaborator = Elaborator { tell: Some(tell), ..Elaborator::new(modules, overrides) };
        let (spec, faults) = elaborator.finish(overrides, &asked);
        open.work(&moments(&spec));
        (Some(spec), faults)
    };
    let (spec, mut faults) = on_a_large_stack(end, || open.beside(&told.recv().unwrap_or_default()));
    for fault in open.found.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().flatten() {
        if !faults.iter().any(|known| known.code == fault.code && place(known) == place(&fault)) {
            faults.push(fault);
        }
    }
    (spec.filter(|_| sound(&faults)), faults)
}

fn place(fault: &Fault) -> Option<Span> {
    fault.labels.first().map(|(span, _)| *span)
}

/// The moments that no thread has begun yet.
struct Open<'a> {
    modules: &'a Modules,
    overrides: &'a Overrides,
    asked: &'a [Asked],
    next: AtomicUsize,
    /// What was found, by the number of the moment.
    found: Mutex<BTreeMap<usize, Vec<Fault>>>,
}

impl Open<'_> {
    /// Works on all threads but the one that elaborates the end, which comes when it is done, or does all where none can be started.
    fn beside(&self, moments: &[Moment]) {
        std::thread::scope(|scope| {
            for _ in 1..threads::most().min(moments.len() + 1) {
                let helper = std::thread::Builder::new().name("elaborate".into()).stack_size(STACK);
                let _ = helper.spawn_scoped(scope, || self.work(moments));
            }
        });
    }

    fn work(&self, moments: &[Moment]) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(moment) = moments.get(number) else { return };
            let faults = self.in_moment(*moment);
            self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(number, faults);
        }
    }

    /// The faults of one moment.
    fn in_moment(&self, moment: Moment) -> Vec<Fault> {
        let overrides = Overrides { moment, ..self.overrides.clone() };
        let (spec, faults) = Elaborator::new(self.modules, &overrides).finish(&overrides, self.asked);
        faults.into_iter().map(|fault| told_where(fault, self.modules, &spec, moment)).collect()
    }
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
pub fn moments(spec: &Spec) -> Vec<Moment> {
    let phases = &spec.phases;
    let inside =
        |at: usize| at > 0 && phases.get(at + 1).is_some_and(|next| next.span == phases[at].span && phases[at - 1].span == next.span);
    let told = (0..phases.len()).filter(|at| !inside(*at) && phases[*at].length.amount > 0.0);
    told.flat_map(|number| [true, false].map(|training| Moment::Phase { number, training })).collect()
}
