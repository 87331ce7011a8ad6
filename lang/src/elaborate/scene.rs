//! Scenes, perturbations and draws. A scene's fields are evaluated when read; a perturbation is its base with some slots filled anew.

use std::rc::Rc;

use super::Elaborator;
use super::names::{definitions, found_in};
use super::value::{Abort, Def, Memo, Origins, Outcome, Scene, Scope, Value};
use crate::source::Span;
use crate::spec::{Element, Prim};
use crate::syntax::{Binding, Family, Name, Perturb, Statement, StatementKind};

impl<'m> Elaborator<'m> {
    /// `scene world { .. }`.
    pub fn scene(&mut self, name: &'m Name, statements: &'m [Statement], scope: &Rc<Scope<'m>>) -> Value<'m> {
        let scope = Rc::new(scope.inside(&name.text, Vec::new(), definitions(statements)));
        Value::Scene(Rc::new(Scene { scope, base: None, name: &name.text }))
    }

    /// `perturb shifted = world with { .. }`.
    pub fn perturb(&mut self, perturb: &'m Perturb, scope: &Rc<Scope<'m>>, shown: &str) -> Outcome<'m> {
        let base = match self.eval(&perturb.base, scope)? {
            Value::Scene(base) => base,
            other => return Err(self.expected("a scene", &other, perturb.base.span)),
        };
        let name = perturb.binder.name.text.as_str();
        let path = if shown.is_empty() { name.to_string() } else { format!("{name}[{shown}]") };
        let inner = scope.inside(&path, Vec::new(), definitions(&perturb.statements));
        let scope = Rc::new(Scope { base: Some(base.clone()), ..inner });
        Ok(Value::Scene(Rc::new(Scene { scope, base: Some(base), name })))
    }

    /// `layer front = { image: i, mask: m }`; a missing mask is one everywhere.
    pub fn layer(&mut self, binding: &'m Binding, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let value = self.eval(&binding.value, scope)?;
        let Value::Record(fields) = &value else {
            return Err(self.expected("a layer, `{ image: .., mask: .. }`,", &value, binding.value.span));
        };
        let image = fields.iter().find(|(name, _)| name == "image").map(|(_, image)| image);
        let (Some(Value::Tensor(image)), false) = (image, fields.iter().any(|(name, _)| name == "mask")) else { return Ok(value) };
        let pixels = ["height", "width"].map(|name| self.axes.get(name).copied());
        let axes = self.store.ty(*image).axes.iter().filter(|(axis, _)| pixels.contains(&Some(*axis))).copied().collect();
        let one = self.store.intern(Prim::Const(1.0), vec![], Element::Real, vec![], binding.value.span);
        let mask = self.spread_to(one, axes, binding.value.span);
        let mut fields = fields.to_vec();
        fields.push(("mask".into(), Value::Tensor(mask)));
        Ok(Value::Record(fields.into()))
    }

    /// A field of a scene: a layer, a `let` or a draw.
    pub fn scene_field(&mut self, scene: &Rc<Scene<'m>>, name: &'m str, span: Span) -> Outcome<'m> {
        if self.hollow {
            return Err(Abort::Pending(Origins::default()));
        }
        if self.is_family(scene, name) {
            return Ok(Value::Layers(scene.clone(), name));
        }
        self.scene_member(scene, name, None, span)
    }

    fn is_family(&self, scene: &Rc<Scene<'m>>, name: &str) -> bool {
        let mut here = Some(scene.clone());
        while let Some(scene) = here {
            if let Some(found) = found_in(&scene.scope, name) {
                return found.cases.iter().any(|case| case.family().is_some());
            }
            here = scene.base.clone();
        }
        false
    }

    /// A field of a scene, with its index for families. Slots stand over what the base has.
    pub fn scene_member(&mut self, scene: &Rc<Scene<'m>>, name: &'m str, index: Option<&Value<'m>>, span: Span) -> Outcome<'m> {
        if let Some(found) = found_in(&scene.scope, name) {
            return self.member(&found, index, span);
        }
        let key = (name, index.and_then(Value::key));
        let known = scene.scope.memo.borrow().get(&key).cloned();
        if let Some(Memo::Done(outcome)) = known {
            return outcome;
        }
        let outcome = self.slotted(scene, name, index, span);
        scene.scope.memo.borrow_mut().insert(key, Memo::Done(outcome.clone()));
        outcome
    }

    fn slotted(&mut self, scene: &Rc<Scene<'m>>, name: &'m str, index: Option<&Value<'m>>, span: Span) -> Outcome<'m> {
        let mut value: Option<Value<'m>> = None;
        for def in &scene.scope.defs {
            let Def::Slot(statement) = def else { continue };
            let StatementKind::Slot(binder, fields, written) = &statement.kind else { continue };
            if binder.name.text != name {
                continue;
            }
            let Some(scope) = self.slot_scope(binder.family.as_ref(), index, &scene.scope)? else { continue };
            let path = fields.iter().fold(binder.name.text.clone(), |path, field| format!("{path}.{}", field.text));
            let scope = Rc::new(scope.inside(&path, Vec::new(), Vec::new()));
            let new = self.eval(written, &scope)?;
            value = Some(match fields.as_slice() {
                [] => new,
                fields => {
                    let old = match (value, &scene.base) {
                        (Some(value), _) => value,
                        (None, Some(base)) => self.scene_member(base, name, index, span)?,
                        (None, None) => return Err(Abort::Faulted),
                    };
                    self.replace(old, fields, new)?
                }
            });
        }
        match (value, &scene.base) {
            (Some(value), _) => Ok(value),
            (None, Some(base)) => self.scene_member(base, name, index, span),
            (None, None) => Err(Abort::Faulted),
        }
    }

    /// The scope of a slot, where its index is the one that is asked for.
    pub fn slot_scope(
        &mut self,
        family: Option<&'m Family>,
        index: Option<&Value<'m>>,
        scope: &Rc<Scope<'m>>,
    ) -> Result<Option<Rc<Scope<'m>>>, Abort> {
        match (family, index) {
            (None, _) => Ok(Some(scope.clone())),
            (Some(Family::At(at)), Some(index)) => {
                let at = self.eval(at, scope)?;
                Ok((self.same(&at, index) == Some(true)).then(|| scope.clone()))
            }
            (Some(Family::Over(name, over)), Some(index)) => {
                let all = self.list(over, scope)?;
                let inside = all.iter().any(|item| self.same(item, index) == Some(true));
                Ok(inside.then(|| Rc::new(scope.inside("", vec![(&name.text, index.clone())], Vec::new()))))
            }
            (Some(_), None) => Ok(None),
        }
    }

    fn replace(&mut self, old: Value<'m>, fields: &'m [Name], new: Value<'m>) -> Outcome<'m> {
        let Some((first, rest)) = fields.split_first() else { return Ok(new) };
        let Value::Record(own) = &old else { return Err(self.unknown_field(&old, first, Vec::new())) };
        let mut values = own.to_vec();
        match values.iter_mut().find(|(name, _)| *name == first.text) {
            Some((_, value)) => *value = self.replace(value.clone(), rest, new)?,
            None => return Err(self.unknown_field(&old, first, own.iter().map(|(name, _)| name.clone()).collect())),
        }
        Ok(Value::Record(values.into()))
    }

    /// All layers of a scene, from the back to the front.
    pub fn layers(&mut self, scene: &Rc<Scene<'m>>, span: Span) -> Outcome<'m> {
        let layers = self.named_layers(scene, span)?.into_iter().map(|(_, layer)| layer).collect();
        Ok(Value::List(self.all(layers)?.into()))
    }

    /// The same with their names: `front`, `piece.0`.
    pub fn named_layers(&mut self, scene: &Rc<Scene<'m>>, span: Span) -> Result<Vec<(String, Outcome<'m>)>, Abort> {
        let mut root = scene.clone();
        while let Some(base) = root.base.clone() {
            root = base;
        }
        let mut layers: Vec<(String, Outcome<'m>)> = Vec::new();
        for def in &root.scope.defs {
            let Def::Layer(binding) = def else { continue };
            let name = binding.binder.name.text.as_str();
            match &binding.binder.family {
                None => layers.push((name.to_string(), self.scene_member(scene, name, None, span))),
                Some(Family::At(at)) => {
                    let index = self.eval(at, &root.scope)?;
                    layers.push((indexed(name, &index), self.scene_member(scene, name, Some(&index), span)));
                }
                Some(Family::Over(_, over)) => {
                    for index in self.list(over, &root.scope)?.iter() {
                        layers.push((indexed(name, index), self.scene_member(scene, name, Some(index), span)));
                    }
                }
            }
        }
        Ok(layers)
    }
}

fn indexed(name: &str, index: &Value<'_>) -> String {
    format!("{name}.{}", index.key().unwrap_or_default())
}
