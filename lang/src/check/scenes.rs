//! Scenes and perturbations: layers, and slots that change them.

use super::graph::statement_binders;
use super::names::with;
use super::what::{Layers, What};
use super::{Checker, Scope};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::nearest::suggestion;
use crate::syntax::{Binder, Expr, Name, Perturb, Statement, StatementKind};

impl<'m> Checker<'m> {
    /// The names of a scene, over those of the scene it perturbs. Reports nothing by itself.
    pub(super) fn scene_names(&mut self, statements: &'m [Statement], base: Option<&Layers<'m>>, scope: &mut Scope<'m>) -> Layers<'m> {
        let mut layers = base.cloned().unwrap_or_default();
        if let Some(base) = base {
            self.bind_base(base, statements, scope);
        }
        self.bind_names(statements, scope);
        for statement in statements {
            for (name, _) in statement_binders(&statement.kind) {
                let what = scope.local(&name.text).map_or(What::Unknown, |local| local.what.clone());
                layers.fields.insert(name.text.clone(), what);
            }
            match &statement.kind {
                StatementKind::Layer(binding) => layers.layers.push(binding.binder.name.text.clone()),
                StatementKind::Slot(target, fields, value) if fields.is_empty() => {
                    let depth = scope.locals.len();
                    self.bind_family(target, scope);
                    let what = self.expr(value, scope);
                    scope.locals.truncate(depth);
                    layers.fields.insert(target.name.text.clone(), what);
                }
                _ => {}
            }
        }
        layers
    }

    fn bind_base(&mut self, base: &Layers<'m>, statements: &'m [Statement], scope: &mut Scope<'m>) {
        let Some(span) = statements.first().map(|statement| statement.span) else { return };
        for (name, what) in &base.fields {
            self.bind_quiet(name, span, what.clone(), scope);
        }
    }

    /// A scene.
    pub(super) fn scene(&mut self, name: &'m Name, statements: &'m [Statement], module: ModuleId) {
        self.reserved(name);
        let mut scope = Scope::of(module);
        self.block(statements, &mut scope);
        let has_layer = statements.iter().any(|statement| matches!(statement.kind, StatementKind::Layer(_) | StatementKind::Broken));
        if !has_layer {
            let fault = Fault::error("empty-scene", format!("scene `{}` has no layer", name.text), name.span, "nothing to see");
            self.fault(fault.help("Write `layer back = { image: .. }` and `layer front = { image: .., mask: .. }`."));
        }
    }

    /// A perturbation.
    pub(super) fn perturb(&mut self, perturb: &'m Perturb, module: ModuleId) {
        let mut scope = Scope::of(module);
        self.family(&perturb.binder, &mut scope);
        let base = match self.expr(&perturb.base, &mut scope) {
            What::Scene(base) => Some(base),
            What::Unknown => None,
            other => {
                let fault = Fault::error(
                    "wrong-kind",
                    format!("only scenes can be perturbed, this is {}", other.describe()),
                    perturb.base.span,
                    other.describe(),
                );
                self.fault(fault.help("Name a `scene` or another `perturb`."));
                None
            }
        };
        let Some(base) = base else { return };
        self.bind_base(&base, &perturb.statements, &mut scope);
        self.block(&perturb.statements, &mut scope);
        for statement in &perturb.statements {
            if let StatementKind::Slot(target, fields, value) = &statement.kind {
                self.slot(target, fields, value, &base, &mut scope);
            }
        }
    }

    fn slot(&mut self, target: &'m Binder, fields: &'m [Name], value: &'m Expr, base: &Layers<'m>, scope: &mut Scope<'m>) {
        let depth = scope.locals.len();
        let name = &target.name;
        let Some(what) = base.fields.get(&name.text) else {
            let fault = Fault::error("unknown-layer", format!("the scene has no layer `{}`", name.text), name.span, "nothing to change");
            self.fault(with(fault, suggestion(&name.text, base.layers.iter().map(String::as_str))));
            return;
        };
        self.family(target, scope);
        let mut what = what.clone();
        for field in fields {
            what = match (&what, field.text.as_str()) {
                (What::Record(_), "mask") => What::Value,
                _ => self.field(&what, field),
            };
        }
        let given = self.expr(value, scope);
        let fits = match (&what, &given) {
            (What::Unknown, _) | (_, What::Unknown) => true,
            (What::Record(_), What::Record(_)) | (What::Value, What::Value) => true,
            _ => std::mem::discriminant(&what) == std::mem::discriminant(&given),
        };
        if !fits {
            let message = format!("`{}` is {}, this is {}", name.text, what.describe(), given.describe());
            let fault = Fault::error("wrong-kind", message, value.span, given.describe());
            self.fault(fault.help("A slot gets another value of the same kind; a layer is `{ image: .., mask: .. }`."));
        }
        scope.locals.truncate(depth);
    }
}
