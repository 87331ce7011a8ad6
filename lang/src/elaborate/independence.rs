//! What makes a principle void or its optimum trivial: draws that the base scene can see, perturbations that do nothing, labels in
//! what is trained.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::Elaborator;
use super::names::definitions;
use super::value::{Def, Origin, Scene, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Distribution, Prim};
use crate::syntax::{Expr, Family, Perturb, StatementKind};

impl<'m> Elaborator<'m> {
    /// No draw of a perturbation reaches the scene that it perturbs, and the perturbation does something.
    pub fn check_perturbation(&mut self, perturb: &'m Perturb, scene: &Rc<Scene<'m>>) {
        self.check_draws(perturb, scene);
        let Some(base) = scene.base.clone() else { return };
        let layers = self.layers(&base, perturb.base.span);
        let below = self.origins_of(&layers);
        if !below.iter().any(|origin| matches!(origin, Origin::Draw(..))) {
            return;
        }
        let own = format!("{}.", scene.scope.path);
        let direct = self.direct_origins(perturb, scene, &base);
        for origin in below.iter() {
            let Origin::Draw(path, span) = origin else { continue };
            let of_file = !path.contains('.') && direct.contains(origin);
            if path.starts_with(&own) || of_file {
                self.visible_draw(path, *span, &base, perturb);
            }
        }
    }

    /// What the slots are computed from, the fields of scenes aside.
    fn direct_origins(&mut self, perturb: &'m Perturb, scene: &Rc<Scene<'m>>, base: &Rc<Scene<'m>>) -> BTreeSet<Origin> {
        let Some(parent) = scene.scope.parent.clone() else { return BTreeSet::new() };
        let inner = parent.inside("", Vec::new(), definitions(&perturb.statements));
        let hollow = Rc::new(Scope { base: Some(base.clone()), path: scene.scope.path.clone(), ..inner });
        let mut origins = BTreeSet::new();
        for statement in &perturb.statements {
            let StatementKind::Slot(binder, _, value) = &statement.kind else { continue };
            let scope = match &binder.family {
                Some(Family::Over(name, over)) => {
                    let first = self.list(over, &hollow).ok().and_then(|items| items.first().cloned());
                    let Some(first) = first else { continue };
                    Rc::new(hollow.inside("", vec![(&name.text, first)], Vec::new()))
                }
                _ => hollow.clone(),
            };
            self.hollow = true;
            origins.extend(self.origins_of_expr(value, &scope).iter().cloned());
            self.hollow = false;
        }
        origins
    }

    fn visible_draw(&mut self, path: &str, drawn: Span, base: &Rc<Scene<'m>>, perturb: &'m Perturb) {
        if self.faults.iter().any(|fault| fault.code == "independence" && fault.labels[0].0 == drawn) {
            return;
        }
        let name = path.rsplit('.').next().unwrap_or(path);
        let message = format!("`{}` can see the draw `{name}` that it must survive", base.name);
        let what = format!("`{name}` is drawn for the perturbation `{}`", perturb.binder.name.text);
        let mut fault = Fault::error("independence", message, drawn, what);
        for def in &base.scope.defs {
            let Some(written) = written(def) else { continue };
            let origins = self.origins_of_expr(written, &base.scope.clone());
            if origins.iter().any(|origin| matches!(origin, Origin::Draw(own, _) if own == path)) {
                fault = fault.also(written.span, format!("... and reaches this in `{}`", base.name));
                break;
            }
        }
        let help =
            "The perturbation could be undone, and the loss would teach nothing. Draw a second number, or take the draw out of the scene.";
        self.fault(fault.help(help));
    }

    /// A draw between equal bounds moves nothing.
    fn check_draws(&mut self, perturb: &'m Perturb, scene: &Rc<Scene<'m>>) {
        for def in &scene.scope.defs {
            let (Def::Draw(draw, number), None) = (def, def.family()) else { continue };
            let name = &draw.binders[*number].name;
            let Ok(Value::Tensor(id)) = self.scene_field(scene, &name.text, name.span) else { continue };
            let term = self.store.terms.get(id);
            if !matches!(term.prim, Prim::Draw { from: Distribution::Uniform, .. }) {
                continue;
            }
            let bounds: Vec<_> = term.args.iter().map(|arg| &self.store.terms.get(*arg).prim).collect();
            let [Prim::Const(low), Prim::Const(high)] = bounds.as_slice() else { continue };
            if low != high {
                continue;
            }
            let shown = if *low == 0.0 { "0".to_string() } else { low.to_string() };
            let message = format!("the perturbation `{}` is not random: `{}` is always {shown}", perturb.binder.name.text, name.text);
            let fault = Fault::warning("idle-perturbation", message, draw.from.span, format!("from {shown} to {shown}"));
            let help = "Without it the whole image in one layer is an optimum: nothing makes a mask worth having. In PerturbGAN's paper \
                        such a run ends at IoU 0.04, the default at 0.69. Keep it as a control only.";
            self.fault(fault.help(help));
            return;
        }
    }

    /// Labels in what is trained, also where nets stand in between.
    pub fn check_trained(&mut self, origins: &BTreeSet<Origin>, span: Span, what: &str) {
        let Some(Origin::Label(label)) = origins.iter().find(|origin| matches!(origin, Origin::Label(_))) else { return };
        let fault =
            Fault::error("label-leak", "a ground-truth mask decides what is trained", span, what).also(*label, "computed from this");
        self.fault(fault.help("Labels are for evaluation. If this is meant, write `oracle(..)` around it: the report will say so."));
    }
}

/// What a definition of a scene is computed by.
fn written<'m>(def: &Def<'m>) -> Option<&'m Expr> {
    match def {
        Def::Let(binding) | Def::Layer(binding) if binding.binder.family.is_none() => Some(&binding.value),
        _ => None,
    }
}
