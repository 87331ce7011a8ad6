//! Params: defaults, variants that replace them, and `--set`, which wins over all.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::Elaborator;
use super::value::{Abort, Memo, Outcome, Scope, Value};
use crate::fault::{Fault, Severity};
use crate::modules::{ModuleId, Modules};
use crate::params::Overrides;
use crate::source::{Sources, Span};
use crate::spec::{Param as Shown, ParamValue};
use crate::syntax::{self, Expr, ExprKind, ItemKind, Kind, Param, TypeKind, Variant};

/// `--set name=text`, parsed where it is an expression.
pub struct Asked {
    /// The param.
    pub name: String,
    /// As written.
    pub text: String,
    /// As an expression, where it is one.
    pub value: Option<Expr>,
}

/// A value that a variant gives to a param.
#[derive(Clone)]
pub struct Setting<'m> {
    variant: &'m Variant,
    module: ModuleId,
    value: &'m Expr,
    span: Span,
}

/// A param is known by its module and name.
pub type ParamKey<'m> = (ModuleId, &'m str);

/// What is asked for beside the defaults, and what was evaluated so far.
#[derive(Default)]
pub struct Settings<'m> {
    variants: HashMap<ParamKey<'m>, Vec<Setting<'m>>>,
    asked: HashMap<ParamKey<'m>, &'m Asked>,
}

/// Parses the values of `--set`.
pub fn asked(overrides: &Overrides) -> Vec<Asked> {
    let parse = |text: &str| {
        let mut sources = Sources::default();
        let id = sources.add("--set", format!("let value = {text}\n"));
        let (file, faults) = crate::parse::parse(&sources, id);
        match (file.items.as_slice(), faults.is_empty()) {
            ([item], true) => match item.kind() {
                ItemKind::Let(binding) => Some(binding.value.clone()),
                _ => None,
            },
            _ => None,
        }
    };
    overrides.sets.iter().map(|(name, text)| Asked { name: name.clone(), text: text.clone(), value: parse(text) }).collect()
}

/// A fault of the command line, which has no place in a source.
fn unplaced(code: &'static str, message: String, help: Option<String>) -> Fault {
    Fault { code, severity: Severity::Error, message, labels: Vec::new(), help }
}

impl<'m> Elaborator<'m> {
    /// Sorts variants and `--set`s to their params.
    pub fn settle(&mut self, variants: &[String], asked: &'m [Asked]) {
        let modules = self.modules;
        let mut active: Vec<(ModuleId, &'m Variant)> = Vec::new();
        let known: Vec<_> = self.chain.iter().flat_map(|module| variants_of(modules, *module)).collect();
        for name in variants {
            match known.iter().find(|(_, variant)| variant.name.text == *name) {
                Some(found) => self.with_bases(*found, &known, &mut active),
                None => {
                    let names = known.iter().map(|(_, variant)| variant.name.text.as_str());
                    let help = crate::nearest::suggestion(name, names);
                    self.faults.push(unplaced("unknown-variant", format!("there is no variant `{name}`"), help));
                }
            }
        }
        for (module, variant) in active {
            for set in &variant.sets {
                let Some(name) = set.target.segments.first() else { continue };
                match self.find_param(module, &name.text) {
                    Some(key) => {
                        let setting = Setting { variant, module, value: &set.value, span: name.span };
                        self.settings.variants.entry(key).or_default().push(setting);
                    }
                    None => {
                        let fault = Fault::error("unknown-param", format!("there is no param `{}`", name.text), name.span, "not a param");
                        let known = self.param_names();
                        self.fault(super::nearest(fault, &name.text, &known));
                    }
                }
            }
        }
        for asked in asked {
            match self.find_param(modules.root, &asked.name) {
                Some(key) => {
                    self.settings.asked.insert(key, asked);
                }
                None => {
                    let known = self.param_names();
                    let help = crate::nearest::suggestion(&asked.name, known.iter().map(String::as_str));
                    self.faults.push(unplaced("unknown-param", format!("`--set {0}=..`: there is no param `{0}`", asked.name), help));
                }
            }
        }
    }

    fn with_bases(&mut self, start: (ModuleId, &'m Variant), known: &[(ModuleId, &'m Variant)], active: &mut Vec<(ModuleId, &'m Variant)>) {
        let mut here = Some(start);
        while let Some((module, variant)) = here {
            if active.iter().any(|(_, own)| std::ptr::eq(*own, variant)) {
                return;
            }
            active.push((module, variant));
            here = None;
            if let Some(name) = variant.base.as_ref().and_then(|base| base.segments.first()) {
                here = known.iter().find(|(_, other)| other.name.text == name.text).copied();
                if here.is_none() {
                    let names: Vec<_> = known.iter().map(|(_, variant)| variant.name.text.clone()).collect();
                    let fault = Fault::error("unknown-variant", format!("there is no variant `{}`", name.text), name.span, "not found");
                    self.fault(super::nearest(fault, &name.text, &names));
                }
            }
        }
    }

    fn find_param(&self, from: ModuleId, name: &str) -> Option<ParamKey<'m>> {
        let modules = self.modules;
        let id = *modules.find(from, name)?.first()?;
        match modules.item(id).kind() {
            ItemKind::Param(param) => Some((id.module, &param.name.text)),
            _ => None,
        }
    }

    fn param_names(&self) -> Vec<String> {
        self.chain.iter().flat_map(|module| params_of(self.modules, *module)).map(|param| param.name.text.clone()).collect()
    }

    /// The value of a param in this run.
    pub fn param(&mut self, module: ModuleId, param: &'m Param) -> Outcome<'m> {
        let key = (module, param.name.text.as_str());
        match self.worlds[self.world].params.get(&key) {
            Some(Memo::Done(outcome)) => return outcome.clone(),
            Some(Memo::Running) => {
                let message = format!("the param `{}` is computed from itself", key.1);
                return Err(self.fault(Fault::error("cyclic-definition", message, param.name.span, "needs itself")));
            }
            None => {}
        }
        self.worlds[self.world].params.insert(key, Memo::Running);
        let outcome = self.evaluate_param(key, param);
        self.worlds[self.world].params.insert(key, Memo::Done(outcome.clone()));
        outcome
    }

    fn evaluate_param(&mut self, key: ParamKey<'m>, param: &'m Param) -> Outcome<'m> {
        let scope = self.module_scope(key.0);
        if let Some(held) = self.held(key.0, key.1) {
            let value = self.within(held.world, |outside| outside.param_value(held.value, param, &held.scope))?;
            let value = self.of_kind(value, param, &scope, held.value.span, Some(&held.by))?;
            self.in_range(&value, param, &scope, held.value.span, Some(held.by))?;
            return Ok(value);
        }
        let (value, span, label) = match (self.settings.asked.get(&key).copied(), self.settings.variants.get(&key).cloned()) {
            (Some(asked), _) => {
                (self.asked_value(asked, param, &scope)?, param.name.span, Some(format!("--set {}={}", asked.name, asked.text)))
            }
            (None, Some(settings)) => {
                let (value, setting) = self.agreed(param, &settings)?;
                (value, setting.span, Some(format!("variant `{}`", setting.variant.name.text)))
            }
            (None, None) => (self.param_value(&param.default, param, &scope)?, param.default.span, None),
        };
        let value = match self.settings.asked.get(&key).copied() {
            Some(asked) if !self.fits(&value, param, &scope, true)? => {
                let fault = self.unfit(asked, param, &scope, "none")?;
                return Err(self.fault(fault));
            }
            _ => self.of_kind(value, param, &scope, span, label.as_deref())?,
        };
        self.in_range(&value, param, &scope, span, label)?;
        Ok(value)
    }

    fn param_value(&mut self, expr: &'m Expr, param: &'m Param, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        match &param.kind {
            Some(Kind::Choice(words)) => self.eval_choice(expr, words, scope),
            _ => self.eval(expr, scope),
        }
    }

    /// The value of a `--set`. Faults inside it speak of the command line.
    fn asked_value(&mut self, asked: &'m Asked, param: &'m Param, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let word = kind_word(param);
        let bare = matches!(word, Some("file" | "folder" | "text"));
        if bare && !asked.text.starts_with('"') {
            return Ok(if asked.text == "none" { Value::None } else { Value::Text(asked.text.as_str().into()) });
        }
        let Some(value) = &asked.value else {
            let fault = self.unfit(asked, param, scope, "no expression")?;
            return Err(self.fault(fault));
        };
        let before = self.faults.len();
        let outcome = self.param_value(value, param, scope);
        let word = matches!(&*value.kind, ExprKind::Path(_)) && !matches!(param.kind, Some(Kind::Choice(_)));
        if word && self.faults.len() > before {
            self.faults.truncate(before);
            let fault = self.unfit(asked, param, scope, "none")?;
            return Err(self.fault(fault));
        }
        for fault in &mut self.faults[before..] {
            if !fault.message.starts_with("`--set") {
                fault.message = format!("`--set {}={}`: {}", asked.name, asked.text, fault.message);
            }
            fault.labels = vec![(param.name.span, "set by this".into())];
        }
        outcome
    }

    /// The fault of a `--set` whose text is no value of the param's kind.
    fn unfit(&mut self, asked: &Asked, param: &'m Param, scope: &Rc<Scope<'m>>, what: &str) -> Result<Fault, Abort> {
        let due = self.due(param, scope)?;
        let Asked { name, text, .. } = asked;
        let message = format!("`--set {name}={text}`: `{name}` is {due}, `{text}` is {what}");
        let by = if param.kind.is_some() { "it is declared as" } else { "its default is" };
        let fault = Fault::error("wrong-param-value", message, param.name.span, format!("{by} {due}"));
        Ok(fault.help("Values are written as in the spec: `64`, `1/2`, `true`, `[1/4, 1/2]`."))
    }

    /// What a param may be, in words.
    fn due(&mut self, param: &'m Param, scope: &Rc<Scope<'m>>) -> Result<String, Abort> {
        let kind = match &param.kind {
            Some(Kind::Choice(words)) => {
                return Ok(words.iter().map(|word| format!("`{}`", word.text)).collect::<Vec<_>>().join(" or "));
            }
            Some(Kind::Type(_)) => kind_word(param).unwrap_or("value"),
            None => self.default_kind(param, scope)?,
        };
        Ok(match kind {
            "int" => "a whole number",
            "real" | "schedule" => "a number",
            "bool" => "a truth value (`true` or `false`)",
            "duration" => "a duration such as `10k steps`",
            other => return Ok(format!("a {other}")),
        }
        .to_string())
    }

    /// The value on which the variants agree; a variant's own value stands over that of the variants that it starts from.
    fn agreed(&mut self, param: &'m Param, settings: &[Setting<'m>]) -> Result<(Value<'m>, Setting<'m>), Abort> {
        let ancestors: Vec<BTreeSet<&str>> = settings.iter().map(|setting| self.ancestors(setting.variant)).collect();
        let over = |place: usize| ancestors.iter().any(|names| names.contains(settings[place].variant.name.text.as_str()));
        let last: Vec<_> = (0..settings.len()).filter(|place| !over(*place)).map(|place| settings[place].clone()).collect();
        let mut values = Vec::new();
        for setting in &last {
            let scope = self.module_scope(setting.module);
            values.push(self.param_value(setting.value, param, &scope)?);
        }
        for (value, setting) in values.iter().zip(&last).skip(1) {
            if self.same(value, &values[0]) != Some(true) {
                let name = &param.name.text;
                let (first, second) = (values[0].key().unwrap_or("none".into()), value.key().unwrap_or("none".into()));
                let message = format!("two variants disagree about `{name}`");
                let fault =
                    Fault::error("ambiguous-variants", message, last[0].span, format!("`{}` says {first}", last[0].variant.name.text))
                        .also(setting.span, format!("`{}` says {second}", setting.variant.name.text));
                return Err(self.fault(fault.help(format!("Choose one, or say which you mean: `--set {name}={first}`."))));
            }
        }
        match (values.into_iter().next(), last.into_iter().next()) {
            (Some(value), Some(setting)) => Ok((value, setting)),
            _ => Err(self.fault(Fault::error("cyclic-definition", "these variants start from each other", param.name.span, "set by them"))),
        }
    }

    fn ancestors(&self, variant: &'m Variant) -> BTreeSet<&'m str> {
        let known: Vec<_> = self.chain.iter().flat_map(|module| variants_of(self.modules, *module)).collect();
        let mut names = BTreeSet::new();
        let mut here = Some(variant);
        while let Some(name) = here.and_then(|own| own.base.as_ref()).and_then(|base| base.segments.first()) {
            if !names.insert(name.text.as_str()) {
                break;
            }
            here = known.iter().find(|(_, other)| other.name.text == name.text).map(|(_, other)| *other);
        }
        names
    }

    /// The kind that a value must have; none where any will do.
    fn wanted(&mut self, param: &'m Param, scope: &Rc<Scope<'m>>, changed: bool) -> Result<Option<String>, Abort> {
        Ok(match &param.kind {
            Some(Kind::Choice(words)) => Some(words.iter().map(|word| format!("`{}`", word.text)).collect::<Vec<_>>().join(" or ")),
            Some(Kind::Type(_)) => Some(kind_word(param).unwrap_or("value").to_string()),
            None if changed => Some(self.default_kind(param, scope)?.to_string()),
            None => None,
        })
    }

    fn fits(&mut self, value: &Value<'m>, param: &'m Param, scope: &Rc<Scope<'m>>, changed: bool) -> Result<bool, Abort> {
        let Some(wanted) = self.wanted(param, scope, changed)? else { return Ok(true) };
        Ok(match (wanted.as_str(), value) {
            ("int", Value::Number(number)) => number.integer().is_some(),
            ("real" | "schedule", Value::Number(_)) | ("bool", Value::Bool(_)) | ("list", Value::List(_)) => true,
            ("schedule", Value::Tensor(id)) => self.store.ty(*id).axes.is_empty() && !self.store.sampled(*id),
            ("text", Value::Text(_)) | ("file" | "folder", Value::Text(_) | Value::None) | ("duration", Value::Duration(..)) => true,
            ("int" | "real" | "schedule" | "bool" | "list" | "text" | "file" | "folder" | "duration", _) => false,
            (wanted, value) => !wanted.contains('`') || matches!(value, Value::Choice(..)),
        })
    }

    fn of_kind(&mut self, value: Value<'m>, param: &'m Param, scope: &Rc<Scope<'m>>, span: Span, from: Option<&str>) -> Outcome<'m> {
        if self.fits(&value, param, scope, from.is_some())? {
            return Ok(value);
        }
        let wanted = self.wanted(param, scope, from.is_some())?.unwrap_or_default();
        let name = &param.name.text;
        let found = self.describe(&value);
        let by = from.map_or(String::new(), |from| format!(" ({from})"));
        let article = if wanted.starts_with('i') { "an" } else { "a" };
        let kind = if wanted.contains('`') { wanted.clone() } else { format!("{article} {wanted}") };
        let message = format!("the param `{name}` is {kind}, not {found}{by}");
        Err(self.fault(
            Fault::error("wrong-param-value", message, span, found)
                .help(format!("The kind of `{name}` is what is written, or that of its default.")),
        ))
    }

    fn default_kind(&mut self, param: &'m Param, scope: &Rc<Scope<'m>>) -> Result<&'static str, Abort> {
        let value = self.eval(&param.default, scope)?;
        Ok(match value {
            Value::Number(number) if number.integer().is_some() && !written_real(&param.default) => "int",
            Value::Number(_) => "real",
            Value::Bool(_) => "bool",
            Value::List(_) => "list",
            Value::Text(_) => "text",
            Value::Duration(..) => "duration",
            _ => "value",
        })
    }

    fn in_range(
        &mut self,
        value: &Value<'m>,
        param: &'m Param,
        scope: &Rc<Scope<'m>>,
        span: Span,
        from: Option<String>,
    ) -> Result<(), Abort> {
        let (Some(range), Value::Number(number)) = (&param.range, value) else { return Ok(()) };
        let ExprKind::Range(low, high) = &*range.kind else { return Ok(()) };
        let (low, high) = (self.number(low, scope)?, self.number(high, scope)?);
        if number.compare(low).is_some_and(|order| order.is_ge()) && number.compare(high).is_some_and(|order| order.is_le()) {
            return Ok(());
        }
        let name = &param.name.text;
        let by = from.map_or(String::new(), |from| format!(" by {from}"));
        let fault =
            Fault::error("out-of-range", format!("`{name}` is set to {number}{by}, outside {low}..{high}"), span, format!("{number}"));
        Err(self.fault(fault.also(range.span, "allowed").help(format!("Choose a value from {low} to {high}."))))
    }

    /// All params of the spec with their values in this run, those of the extended file first.
    pub fn shown_params(&mut self) {
        let modules = self.modules;
        for module in self.chain.clone() {
            for param in params_of(modules, module) {
                if let Ok(value) = self.param(module, param) {
                    let help = param.help.as_ref().map_or(String::new(), |help| help.text.clone());
                    self.spec.params.push(Shown { name: param.name.text.clone(), value: shown(&value), help });
                }
            }
        }
    }
}

/// The variants of a file.
fn variants_of(modules: &Modules, module: ModuleId) -> impl Iterator<Item = (ModuleId, &Variant)> {
    modules.list[module.0].file.items.iter().filter_map(move |item| match item.kind() {
        ItemKind::Variant(variant) => Some((module, variant)),
        _ => None,
    })
}

fn params_of(modules: &Modules, module: ModuleId) -> impl Iterator<Item = &Param> {
    modules.list[module.0].file.items.iter().filter_map(|item| match item.kind() {
        ItemKind::Param(param) => Some(param),
        _ => None,
    })
}

fn kind_word(param: &Param) -> Option<&str> {
    match &param.kind {
        Some(Kind::Type(syntax::Type { kind: TypeKind::Word(name), .. })) => Some(&name.text),
        _ => None,
    }
}

/// Whether a default was written as a real, such as `2.0` or `1/8`, even where its value is whole.
fn written_real(expr: &Expr) -> bool {
    match &*expr.kind {
        ExprKind::Number(text) => text.contains(['.', 'e']),
        ExprKind::Binary(syntax::BinaryOp::Divide, ..) => true,
        ExprKind::Binary(_, left, right) => written_real(left) || written_real(right),
        ExprKind::Negate(value) => written_real(value),
        _ => false,
    }
}

fn shown(value: &Value<'_>) -> ParamValue {
    match value {
        Value::Bool(known) => ParamValue::Bool(*known),
        Value::Number(number) => number.integer().map_or(ParamValue::Real(number.real()), ParamValue::Int),
        Value::Text(text) => ParamValue::Text(text.to_string()),
        Value::Choice(word, _) => ParamValue::Text((*word).to_string()),
        Value::List(items) => ParamValue::List(items.iter().map(shown).collect()),
        Value::None => ParamValue::None,
        Value::Tensor(_) => ParamValue::Text("a schedule".into()),
        other => ParamValue::Text(other.describe()),
    }
}
