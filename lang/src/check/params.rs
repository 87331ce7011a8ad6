//! Params and variants: kinds, ranges and values as far as they are written out.

use super::names::with;
use super::what::{What, literal, written_real};
use super::{Checker, Scope};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::nearest::suggestion;
use crate::syntax::{Expr, ExprKind, ItemKind, Kind, Name, Param, Path, Set, TypeKind, Variant};
use std::collections::BTreeMap;

impl<'m> Checker<'m> {
    /// What a param is where it is read.
    pub(super) fn param_what(&mut self, param: &'m Param, module: ModuleId) -> What<'m> {
        match &param.kind {
            Some(kind) => self.kind_what(kind, module),
            None => match self.expr(&param.default, &mut Scope::of(module)) {
                What::None => What::Unknown,
                other => other,
            },
        }
    }

    /// A param.
    pub(super) fn param(&mut self, param: &'m Param, module: ModuleId) {
        let mut scope = Scope::of(module);
        match &param.kind {
            Some(Kind::Type(ty)) => self.ty(ty, &mut scope),
            Some(Kind::Choice(words)) => self.distinct(words),
            None => {}
        }
        if param.kind.is_none() && is_word(&param.default, "none") {
            let fault = Fault::error(
                "untyped-formal",
                format!("the kind of `{}` cannot be told from `none`", param.name.text),
                param.default.span,
                "says nothing",
            );
            self.fault(fault.help(format!("Write its kind: `param {}: folder = none`.", param.name.text)));
        }
        self.value(param, &param.default, &mut scope);
        if let Some(range) = &param.range {
            self.expr(range, &mut scope);
            if !matches!(&*range.kind, ExprKind::Range(..) | ExprKind::Broken) {
                let fault = Fault::error("wrong-param-value", "a param lies in a range", range.span, "no range");
                self.fault(fault.help("Write `in LOW..HIGH`; both ends are allowed values."));
            }
        }
    }

    fn distinct(&mut self, words: &[Name]) {
        for (at, word) in words.iter().enumerate() {
            if words[..at].iter().any(|before| before.text == word.text) {
                self.duplicate(word, "choice");
            }
        }
    }

    /// A value that a param gets: its default or one of a variant.
    fn value(&mut self, param: &'m Param, value: &'m Expr, scope: &mut Scope<'m>) {
        match &param.kind {
            Some(Kind::Choice(words)) => {
                let words: Vec<&'m str> = words.iter().map(|word| word.text.as_str()).collect();
                self.choice(value, &words, scope);
            }
            _ => {
                let what = self.expr(value, scope);
                self.fits_param(param, value, &what);
            }
        }
        self.in_range(param, value);
    }

    fn fits_param(&mut self, param: &'m Param, value: &'m Expr, what: &What<'m>) {
        if let ExprKind::If(..) | ExprKind::Broken = &*value.kind {
            return;
        }
        let word = kind_of(param);
        let (needed, fits) = match (word, what) {
            (_, What::Unknown) | ("", _) => return,
            ("int", What::Value) => ("a whole number", literal(value).is_none_or(|number| number.is_integer()) && !truth(value)),
            ("int", _) => ("a whole number", false),
            ("real" | "schedule", what) => ("a number", matches!(what, What::Value) && !truth(value)),
            ("bool", what) => ("`true` or `false`", matches!(what, What::Value) && literal(value).is_none()),
            ("list", what) => ("a list", matches!(what, What::List(_))),
            ("text", what) => ("a text in quotes", matches!(what, What::Text | What::None)),
            ("file" | "folder", what) => ("a path in quotes, or `none`", matches!(what, What::Text | What::None)),
            ("duration", what) => ("a duration such as `100 steps`", matches!(what, What::Duration)),
            _ => return,
        };
        if fits {
            return;
        }
        let name = &param.name.text;
        let written = Some(self.modules.sources.slice(value.span)).filter(|text| text.len() < 40 && !text.contains('\n'));
        let shown = written.map_or("this".to_string(), |text| format!("`{text}`"));
        let mut fault =
            Fault::error("wrong-param-value", format!("`{name}` is {needed}, {shown} is not"), value.span, format!("not {needed}"));
        if !contains(param, value) {
            fault = fault.also(param.name.span, format!("its default says {needed}"));
        }
        let help = match word {
            "int" if literal(value).is_some() => {
                format!("Round it, or give `{name}` a default with a point, which makes it a real number.")
            }
            _ => format!("Set `{name}` to {needed}."),
        };
        self.fault(fault.help(help));
    }

    fn in_range(&mut self, param: &Param, value: &Expr) {
        let Some(ExprKind::Range(low, high)) = param.range.as_ref().map(|range| &*range.kind) else { return };
        let (Some(low), Some(high), Some(number)) = (literal(low), literal(high), literal(value)) else { return };
        if number < low || number > high {
            let name = &param.name.text;
            let range = param.range.as_ref().map_or(param.name.span, |range| range.span);
            let fault =
                Fault::error("out-of-range", format!("`{name}` lies between {low} and {high}, {number} does not"), value.span, "outside")
                    .also(range, "the range")
                    .help("Choose a value inside, ends included, or widen the range of the param.");
            self.fault(fault);
        }
    }

    /// A variant: its base, and params with values that fit.
    pub(super) fn variant(&mut self, variant: &'m Variant, module: ModuleId) {
        if let Some(base) = &variant.base {
            self.base_variant(base, module);
        }
        let mut seen: BTreeMap<&str, &Set> = BTreeMap::new();
        for set in &variant.sets {
            let Some(name) = set.target.segments.first() else { continue };
            if seen.insert(&name.text, set).is_some() {
                self.duplicate(name, "param");
            }
            self.variant_set(set, name, module);
        }
        for figure in &variant.reported {
            self.figure(&figure.of, module);
        }
    }

    /// A figure of the paper belongs to an evaluation.
    fn figure(&mut self, of: &'m Path, module: ModuleId) {
        let modules = self.modules;
        let [name] = of.segments.as_slice() else { return };
        let found = modules.find(module, &name.text).and_then(|ids| ids.first());
        if found.is_some_and(|id| matches!(modules.item(*id).kind(), ItemKind::Eval(_) | ItemKind::Broken)) {
            self.global(name, module);
            return;
        }
        let known = self.items_where(module, |kind| matches!(kind, ItemKind::Eval(_)));
        let message = format!("there is no evaluation `{}`", name.text);
        let fault = Fault::error("unknown-name", message, name.span, "not an evaluation");
        let help =
            suggestion(&name.text, known).or_else(|| Some("A figure is that of an evaluation: `reported { test.iou: 0.72 }`.".into()));
        self.fault(with(fault, help));
    }

    fn base_variant(&mut self, base: &'m Path, module: ModuleId) {
        let modules = self.modules;
        let [name] = base.segments.as_slice() else { return };
        let found = modules.find(module, &name.text).and_then(|ids| ids.first());
        if found.is_some_and(|id| matches!(modules.item(*id).kind(), ItemKind::Variant(_) | ItemKind::Broken)) {
            self.global(name, module);
            return;
        }
        let known = self.items_where(module, |kind| matches!(kind, ItemKind::Variant(_)));
        let fault = Fault::error("unknown-variant", format!("there is no variant `{}`", name.text), name.span, "not a variant");
        self.fault(with(fault, suggestion(&name.text, known)));
    }

    fn variant_set(&mut self, set: &'m Set, name: &'m Name, module: ModuleId) {
        let modules = self.modules;
        let mut scope = Scope::of(module);
        let id = modules.find(module, &name.text).and_then(|ids| ids.first()).copied();
        match id.map(|id| modules.item(id).kind()) {
            Some(ItemKind::Param(param)) => {
                self.global(name, module);
                self.value(param, &set.value, &mut scope);
            }
            Some(ItemKind::Broken) => {}
            other => {
                let known = self.items_where(module, |kind| matches!(kind, ItemKind::Param(_)));
                let mut fault = Fault::error("unknown-param", format!("there is no param `{}`", name.text), name.span, "not a param");
                if let (Some(_), Some(id)) = (other, id)
                    && let Some(there) = self.name_of(id, &name.text)
                {
                    fault = fault.also(there.span, "this is not a param");
                }
                let help = suggestion(&name.text, known).or_else(|| Some("Variants set params, nothing else.".to_string()));
                self.fault(with(fault, help));
                self.expr(&set.value, &mut scope);
            }
        }
    }

    fn items_where(&self, module: ModuleId, fits: impl Fn(&ItemKind) -> bool) -> Vec<&'m str> {
        let modules = self.modules;
        let mut names = Vec::new();
        let mut here = Some(module);
        while let Some(module) = here {
            let all = modules.list[module.0].names.iter();
            names.extend(all.filter(|(_, ids)| ids.iter().any(|id| fits(modules.item(*id).kind()))).map(|(name, _)| name.as_str()));
            here = modules.base.get(&module).copied();
        }
        names
    }
}

/// The kind of a param as a word: written, or told by its default; empty where it cannot be told.
fn kind_of(param: &Param) -> &str {
    match &param.kind {
        Some(Kind::Type(ty)) => match &ty.kind {
            TypeKind::Word(name) => &name.text,
            _ => "",
        },
        Some(Kind::Choice(_)) => "",
        None => match &*param.default.kind {
            ExprKind::Text(_) => "text",
            ExprKind::List(_) | ExprKind::ListEach(..) => "list",
            _ if truth(&param.default) => "bool",
            _ => match literal(&param.default) {
                Some(_) if written_real(&param.default) => "real",
                Some(number) if number.is_integer() => "int",
                Some(_) => "real",
                None => "",
            },
        },
    }
}

fn truth(expr: &Expr) -> bool {
    is_word(expr, "true") || is_word(expr, "false")
}

fn is_word(expr: &Expr, word: &str) -> bool {
    matches!(&*expr.kind, ExprKind::Path(path) if path.segments.len() == 1 && path.segments[0].text == word)
}

fn contains(param: &Param, value: &Expr) -> bool {
    param.default.span == value.span
}
