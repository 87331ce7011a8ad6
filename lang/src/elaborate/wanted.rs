//! Definitions that are evaluated because they are asked for by name.

use super::Elaborator;
use super::value::{Abort, Def, Found, Value};
use crate::fault::{Fault, Severity};
use crate::source::Span;
use crate::spec::TermId;
use crate::syntax::Family;

impl<'m> Elaborator<'m> {
    /// Evaluates the definitions with these names.
    pub fn want(&mut self, names: &'m [String]) {
        for name in names {
            self.calls.clear();
            let mut values = Vec::new();
            let outcome = self.wanted_values(name, &mut values);
            if self.needed(outcome).is_some() {
                self.spec.wanted.extend(values);
            }
        }
    }

    fn wanted_values(&mut self, name: &'m str, values: &mut Vec<(String, TermId)>) -> Result<(), Abort> {
        let modules = self.modules;
        let root = modules.root;
        let Some(resolved) = self.resolve(&self.module_scope(root), name) else {
            let known: Vec<&str> = modules.visible(root).collect();
            let help = crate::nearest::suggestion(name, known);
            let message = format!("nothing is called `{name}`, which is asked for");
            self.faults.push(Fault { code: "unknown-name", severity: Severity::Error, message, labels: Vec::new(), help });
            return Err(Abort::Faulted);
        };
        let place = Span { source: modules.list[root.0].source, start: 0, end: 0 };
        let value = self.resolved(resolved, place)?;
        self.name_values(value, name.to_string(), place, values)
    }

    /// The tensors of a value: fields, places and indices follow its name after a dot.
    fn name_values(&mut self, value: Value<'m>, name: String, place: Span, values: &mut Vec<(String, TermId)>) -> Result<(), Abort> {
        match value {
            Value::None => Ok(()),
            Value::Tensor(_) | Value::Number(_) | Value::Bool(_) => {
                values.push((name, self.operand(&(value, place), &Value::None)?));
                Ok(())
            }
            Value::Record(fields) => {
                fields.iter().try_for_each(|(field, value)| self.name_values(value.clone(), format!("{name}.{field}"), place, values))
            }
            Value::List(items) => {
                let items = items.iter().enumerate();
                items.into_iter().try_for_each(|(at, item)| self.name_values(item.clone(), format!("{name}.{at}"), place, values))
            }
            Value::Family(found) => {
                for index in self.indices(&found)? {
                    let value = self.member(&found, Some(&index), place)?;
                    self.name_values(value, format!("{name}.{}", index.key().unwrap_or_default()), place, values)?;
                }
                Ok(())
            }
            other => Err(self.expected("something with a value", &other, place)),
        }
    }

    /// The indices of all members of a family.
    pub fn indices(&mut self, found: &Found<'m>) -> Result<Vec<Value<'m>>, Abort> {
        let mut indices = Vec::new();
        for family in found.cases.iter().filter_map(Def::family) {
            match family {
                Family::At(at) => indices.push(self.eval(at, &found.scope)?),
                Family::Over(_, over) => indices.extend(self.list(over, &found.scope)?.iter().cloned()),
            }
        }
        Ok(indices)
    }
}
