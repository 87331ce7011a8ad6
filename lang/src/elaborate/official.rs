//! Maps from official names of weights to ours, and the models that take their weights through them from files.

use std::rc::Rc;

use super::Elaborator;
use super::value::{Abort, Scope, Value};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::nearest;
use crate::source::Span;
use crate::spec::official::{Named, Sought};
use crate::spec::{Axis, Official, Pretrained, Type};
use crate::syntax::{Dim, Entry, Expr, ExprKind, Group, ItemKind, NameRule, Path};

/// So many weights are named in one fault.
const SHOWN: usize = 6;

impl<'m> Elaborator<'m> {
    /// All maps of the spec and of what it uses.
    pub fn official_names(&mut self) {
        let modules = self.modules;
        for module in (0..modules.list.len()).map(ModuleId) {
            let scope = self.module_scope(module);
            for (place, item) in modules.list[module.0].file.items.iter().enumerate() {
                let Some(ItemKind::Names(name, rules)) = item.plain() else { continue };
                self.calls.clear();
                let lines: Result<Vec<_>, Abort> = rules.iter().map(|rule| self.official(rule, &scope)).collect();
                if let Ok(lines) = lines {
                    self.maps.insert((module, place), self.spec.names.len());
                    self.spec.names.push((name.text.clone(), lines));
                }
            }
        }
    }

    /// `from FILE names MAP` of a model; `none` in the place of a file asks for nothing.
    pub fn pretrained(&mut self, model: &str, file: &'m Expr, names: &'m Path, scope: &Rc<Scope<'m>>) -> Result<(), Abort> {
        let place = file.span;
        let file = match self.eval(file, scope)? {
            Value::None => return Ok(()),
            Value::Text(file) => file.to_string(),
            other => return Err(self.expected("a file of weights", &other, file.span)),
        };
        let items = self.modules.find_path(scope.module, names).unwrap_or_default();
        let known = items.iter().find_map(|id| self.maps.get(&(id.module, id.item)).copied());
        let Some(names_of) = known else { return Err(Abort::Faulted) };
        if self.spec.pretrained.iter().all(|known| known.model != model) {
            let together = place.source == names.span.source && place.start < names.span.end;
            let span = if together { Span { end: names.span.end, ..place } } else { names.span };
            self.spec.pretrained.push(Pretrained { model: model.to_string(), file, names: names_of, span });
        }
        Ok(())
    }

    /// Every weight and state of a model that comes from a file has a line in its map, and brackets are of its axes.
    pub fn check_official(&mut self) {
        let mut faults = Vec::new();
        for pretrained in &self.spec.pretrained {
            let (map, _) = self.spec.map_of(pretrained);
            let mut unnamed = Vec::new();
            for (path, ty, order, place) in self.stored_of(pretrained) {
                match self.spec.named(pretrained, path) {
                    Named::Absent => {}
                    Named::Nowhere => unnamed.push((path, place)),
                    Named::As(found) => {
                        let wrong = found.iter().filter_map(|one| self.wrong_bracket(one, path, (ty, order), place));
                        faults.extend(wrong);
                    }
                }
            }
            faults.extend(unnamed_weights(pretrained, map, &unnamed));
        }
        // One line is often that of several weights.
        let place = |fault: &Fault| fault.labels.first().map(|(span, _)| *span);
        let mut told = Vec::new();
        for fault in faults {
            if !told.contains(&place(&fault)) {
                told.push(place(&fault));
                self.fault(fault);
            }
        }
    }

    /// Weights and states of the nets of a model: path, type, declared order of the axes, place.
    fn stored_of<'s>(&'s self, pretrained: &'s Pretrained) -> impl Iterator<Item = (&'s str, &'s Type, &'s [Axis], Span)> {
        let weights = self.spec.weights.iter().map(|one| (one.path.as_str(), &one.ty, one.order.as_slice(), one.span));
        let states = self.spec.buffers.iter().map(|one| (one.path.as_str(), &one.ty, one.order.as_slice(), one.span));
        weights.chain(states).filter(move |(path, ..)| self.spec.pretrained_for(path) == Some(pretrained))
    }

    /// What is wrong with the bracket that counts for a weight.
    fn wrong_bracket(&self, sought: &Sought, path: &str, (ty, order): (&Type, &[Axis]), place: Span) -> Option<Fault> {
        let own = self.shown_axes(&ty.axes);
        if sought.line != sought.bracket && !sought.line.layout.is_empty() {
            let message = format!("a bracket stands behind a stem, below which `{path}` and others lie");
            let fault = Fault::error("misplaced", message, sought.line.span, "a stem");
            return Some(
                fault.help("Write a line with the whole name for the weight that is laid out otherwise; it comes before the stem's."),
            );
        }
        if sought.bracket.laid_out(ty, order).is_some() {
            return None;
        }
        let message = format!("the bracket is not of the axes of `{path}`, which has {own}");
        let fault = Fault::error("axis-mismatch", message, sought.bracket.span, "laid out so").also(place, format!("has {own}"));
        let help =
            "A bracket lists every axis of the weight once; an axis that the weight lacks has length one, as in `[one: 1, feature]`.";
        Some(fault.help(help))
    }

    fn official(&mut self, rule: &'m NameRule, scope: &Rc<Scope<'m>>) -> Result<Official, Abort> {
        let Some(path) = written(&rule.ours) else {
            let message = "a weight is named by its parts and families";
            let fault = Fault::error("wrong-kind", message, rule.ours.span, "no path of a weight");
            return Err(self.fault(fault.help("Write it as in `block[i].attend.qkv.w`; `none` where nothing uses the tensor.")));
        };
        let path = Some(path).filter(|path| path != "none");
        let groups = rule.layout.iter().flatten();
        let layout = groups.map(|group| self.layout(group, scope)).collect::<Result<_, _>>()?;
        Ok(Official { name: rule.official.text.clone(), path, layout, span: rule.official.span })
    }

    fn layout(&mut self, group: &'m Group, scope: &Rc<Scope<'m>>) -> Result<Vec<(Axis, Option<usize>)>, Abort> {
        let mut axes = Vec::new();
        for dim in &group.dims {
            let Dim::Axis(name, size) = dim else { return Err(self.pend("axes without names", group.span)) };
            let size = size.as_ref().map(|size| self.length(size, scope)).transpose()?;
            axes.push((self.axis(name)?, size));
        }
        Ok(axes)
    }
}

/// Weights without a line, in one fault.
fn unnamed_weights(pretrained: &Pretrained, map: &str, unnamed: &[(&str, Span)]) -> Option<Fault> {
    let (_, place) = unnamed.first()?;
    let names: Vec<&str> = unnamed.iter().take(SHOWN).map(|(path, _)| *path).collect();
    let more = if unnamed.len() > SHOWN { format!(" and {} more", unnamed.len() - SHOWN) } else { String::new() };
    let message = format!("`{map}` has no line for {}{more}", nearest::list(&names));
    let fault = Fault::error("unnamed-weight", message, pretrained.span, "this file and map").also(*place, "the first of them");
    let own = bracketed(names[0].strip_prefix(pretrained.model.as_str()).unwrap_or(names[0]));
    Some(fault.help(format!("Write `\"official.name\" : {own}`, or `\"\" : {own}` if the file does not have it.")))
}

/// `.block.3.w` as it is written, `block[3].w`.
fn bracketed(path: &str) -> String {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = path.split('.').filter(|part| !part.is_empty());
    let written = parts.map(|part| if number(part) { format!("[{part}]") } else { format!(".{part}") });
    written.collect::<String>().trim_start_matches('.').to_string()
}

/// `block[i].attend.w` as `block.{i}.attend.w`.
fn written(expr: &Expr) -> Option<String> {
    match &*expr.kind {
        ExprKind::Path(path) => path.segments.first().map(|name| name.text.clone()),
        ExprKind::Field(inner, name) => Some(format!("{}.{}", written(inner)?, name.text)),
        ExprKind::Bracket(inner, entries) => entries.iter().try_fold(written(inner)?, |path, entry| {
            let Entry::Index(index) = entry else { return None };
            match &*index.kind {
                ExprKind::Number(number) => Some(format!("{path}.{number}")),
                ExprKind::Path(name) => Some(format!("{path}.{{{}}}", name.segments.first()?.text)),
                _ => None,
            }
        }),
        _ => None,
    }
}
