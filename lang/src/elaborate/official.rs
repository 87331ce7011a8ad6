//! Maps from official names of weights to ours.

use std::rc::Rc;

use super::Elaborator;
use super::value::{Abort, Scope};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::spec::{Axis, Official};
use crate::syntax::{Dim, Entry, Expr, ExprKind, Group, ItemKind, NameRule};

impl<'m> Elaborator<'m> {
    /// All maps of the spec and of what it uses.
    pub fn official_names(&mut self) {
        let modules = self.modules;
        for module in (0..modules.list.len()).map(ModuleId) {
            let scope = self.module_scope(module);
            for item in &modules.list[module.0].file.items {
                let ItemKind::Names(name, rules) = &item.kind else { continue };
                self.calls.clear();
                let lines: Result<Vec<_>, Abort> = rules.iter().map(|rule| self.official(rule, &scope)).collect();
                if let Ok(lines) = lines {
                    self.spec.names.push((name.text.clone(), lines));
                }
            }
        }
    }

    fn official(&mut self, rule: &'m NameRule, scope: &Rc<Scope<'m>>) -> Result<Official, Abort> {
        let Some(path) = written(&rule.ours) else {
            let message = "a weight is named by its parts and families";
            let fault = Fault::error("wrong-kind", message, rule.ours.span, "no path of a weight");
            return Err(self.fault(fault.help("Write it as in `block[i].attend.qkv.w`.")));
        };
        let groups = rule.layout.iter().flatten();
        let layout = groups.map(|group| self.layout(group, scope)).collect::<Result<_, _>>()?;
        Ok(Official { name: rule.official.text.clone(), path, layout })
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
