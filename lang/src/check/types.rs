//! Types and signatures: words that exist, axes that are declared, sizes that bind.

use super::names::with;
use super::what::What;
use super::{Checker, Scope};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::nearest::{nearest, suggestion};
use crate::source::Span;
use crate::syntax::{Dim, Expr, ExprKind, Formal, Group, ItemKind, Kind, Name, Net, Type, TypeKind};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Kinds that are words, with what they are.
pub const KINDS: [(&str, &str); 20] = [
    ("int", "a whole number"),
    ("real", "a number"),
    ("bool", "true or false"),
    ("text", "a string"),
    ("list", "a list"),
    ("file", "the path of a file, or none"),
    ("folder", "the path of a folder, or none"),
    ("schedule", "a number that may change with the step"),
    ("duration", "steps, samples or epochs"),
    ("fn", "a function or model"),
    ("net", "a net that is not built yet"),
    ("axis", "one axis"),
    ("axes", "an axis, a list of axes, or all"),
    ("sizes", "new axes with their sizes, as labelled arguments"),
    ("scene", "a scene or perturbation"),
    ("data", "a data item"),
    ("record", "a record of any fields"),
    ("distribution", "a random distribution, or the number that is always drawn"),
    ("field", "the name of a field of the data"),
    ("any", "whatever the first argument is"),
];

/// The axes of a signature: names of sizes with how often and where first they stand, and names of axes.
#[derive(Default)]
pub(super) struct Sizes {
    /// Size names that bind themselves.
    pub names: BTreeMap<String, (usize, Span)>,
    /// Axis names.
    pub axes: BTreeMap<String, Span>,
    /// `..rest` names.
    pub rests: Vec<Name>,
}

impl<'m> Checker<'m> {
    /// Checks a type: words, axes and the expressions of sizes in `scope`.
    pub(super) fn ty(&mut self, ty: &'m Type, scope: &mut Scope<'m>) {
        match &ty.kind {
            TypeKind::Tensor(_, dims) => self.dims(dims, scope),
            TypeKind::Record(fields) => fields.iter().for_each(|(_, ty)| self.ty(ty, scope)),
            TypeKind::Word(name) => self.type_word(name, scope.module),
        }
    }

    pub(super) fn dims(&mut self, dims: &'m [Dim], scope: &mut Scope<'m>) {
        for dim in dims {
            match dim {
                Dim::Rest(_) => {}
                Dim::Axis(axis, size) => {
                    self.axis(axis);
                    if let Some(size) = size.as_ref().filter(|size| !is_any(size)) {
                        self.expr(size, scope);
                    }
                }
            }
        }
    }

    fn type_word(&mut self, name: &'m Name, module: ModuleId) {
        let modules = self.modules;
        let found = modules.find(module, &name.text).and_then(|ids| ids.first()).copied();
        if let Some(id) = found.filter(|id| matches!(modules.item(*id).kind(), ItemKind::Alias(..))) {
            return self.refer(id, name.span);
        }
        if KINDS.iter().any(|(kind, _)| *kind == name.text) || self.left_out(name, module) {
            return;
        }
        let mut known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        for names in [&modules.list[module.0].names, &modules.list[modules.prelude.0].names] {
            let aliases = names.iter().filter(|(_, ids)| ids.iter().any(|id| matches!(modules.item(*id).kind(), ItemKind::Alias(..))));
            known.extend(aliases.map(|(name, _)| name.as_str()));
        }
        let fault = Fault::error("unknown-type", format!("there is no type `{}`", name.text), name.span, "not found");
        let help = nearest(&name.text, known).map(|near| format!("Did you mean `{near}`?"));
        let help = help.unwrap_or_else(|| {
            "Types are `int`, `real`, `bool`, `image`, `mask`, .. and tensors such as `[channel, height, width]`.".into()
        });
        self.fault(fault.help(help));
    }

    /// The type that an alias stands for.
    pub(super) fn alias(&self, name: &Name, module: ModuleId) -> Option<(&'m Type, ModuleId)> {
        let modules = self.modules;
        let id = modules.find(module, &name.text)?.first()?;
        match modules.item(*id).kind() {
            ItemKind::Alias(_, ty) if !self.endless.contains(id) => Some((ty, id.module)),
            _ => None,
        }
    }

    /// Reports an axis that is not declared.
    pub(super) fn axis(&mut self, name: &Name) {
        if self.axes.contains_key(name.text.as_str()) {
            return;
        }
        let fault = Fault::error("unknown-axis", format!("there is no axis `{}`", name.text), name.span, "not declared");
        let help = match nearest(&name.text, self.axes.keys().copied()) {
            Some(near) => format!("Did you mean `{near}`?"),
            None => format!("Declare it: `axis {}`.", name.text),
        };
        self.fault(fault.help(help));
    }

    pub(super) fn group(&mut self, group: &'m Group, scope: &mut Scope<'m>) {
        for dim in &group.dims {
            match dim {
                Dim::Rest(name) if scope.rests.contains(&name.text) => {}
                Dim::Rest(name) => {
                    let fault =
                        Fault::error("unknown-axis", format!("no signature has the axes `..{}`", name.text), name.span, "not found");
                    let rests = scope.rests.iter().map(String::as_str);
                    self.fault(with(fault, suggestion(&name.text, rests)));
                }
                Dim::Axis(axis, size) => {
                    self.axis(axis);
                    if let Some(size) = size {
                        self.expr(size, scope);
                    }
                }
            }
        }
    }

    /// What a value of a type is.
    pub(super) fn type_what(&mut self, ty: &'m Type, module: ModuleId) -> What<'m> {
        match &ty.kind {
            TypeKind::Tensor(..) => What::Value,
            TypeKind::Record(fields) => {
                What::Record(Rc::new(fields.iter().map(|(name, ty)| (name.text.clone(), self.type_what(ty, module))).collect()))
            }
            TypeKind::Word(name) => match name.text.as_str() {
                "int" | "real" | "bool" | "schedule" => What::Value,
                "text" | "file" | "folder" => What::Text,
                "list" => What::List(Box::new(What::Unknown)),
                "duration" => What::Duration,
                "fn" => What::AnyFunction,
                "net" => What::AnyNet,
                "axis" | "axes" => What::Axes,
                "distribution" => What::Distribution,
                "data" => What::Data(None),
                _ => match self.alias(name, module) {
                    Some((ty, module)) => self.type_what(ty, module),
                    None => What::Unknown,
                },
            },
        }
    }

    /// What a formal of a kind is inside the body.
    pub(super) fn kind_what(&mut self, kind: &'m Kind, module: ModuleId) -> What<'m> {
        match kind {
            Kind::Choice(words) => What::Choice(words.iter().map(|word| word.text.as_str()).collect()),
            Kind::Type(ty) => self.type_what(ty, module),
        }
    }

    /// Checks a signature and gives the scope of the body.
    pub(super) fn signature(
        &mut self,
        lists: &[&'m [Formal]],
        result: Option<&'m Type>,
        module: ModuleId,
        builtin: bool,
    ) -> (Scope<'m>, Sizes) {
        let mut scope = Scope::of(module);
        let mut sizes = Sizes::default();
        let formals = || lists.iter().flat_map(|list| list.iter());
        for formal in formals() {
            let what = formal.kind.as_ref().map_or(What::Unknown, |kind| self.kind_what(kind, module));
            if builtin {
                self.bind_quiet(&formal.name.text, formal.name.span, what, &mut scope);
            } else {
                self.bind(&formal.name, what, &mut scope);
            }
            if formal.kind.is_none() {
                let fault = Fault::error("untyped-formal", format!("`{}` has no kind", formal.name.text), formal.name.span, "what is it?");
                self.fault(fault.help(format!("Write `{0}: int`, `{0}: real`, `{0}: image`, `{0}: [feature]`, ..", formal.name.text)));
            }
        }
        let known = scope.clone();
        for ty in formals().filter_map(|formal| formal.kind.as_ref()).filter_map(kind_type).chain(result) {
            self.collect_sizes(ty, &known, &mut sizes);
        }
        for (name, (_, span)) in &sizes.names {
            self.bind_quiet(name, *span, What::Value, &mut scope);
        }
        scope.rests.extend(sizes.rests.iter().map(|name| name.text.clone()));
        for ty in formals().filter_map(|formal| formal.kind.as_ref()).filter_map(kind_type).chain(result) {
            self.ty(ty, &mut scope);
        }
        for formal in formals() {
            if let Some(default) = &formal.default {
                self.expected(default, formal.kind.as_ref(), &mut scope);
            }
            self.formal_is_axis(formal, &sizes);
        }
        (scope, sizes)
    }

    fn formal_is_axis(&mut self, formal: &Formal, sizes: &Sizes) {
        let Some(axis) = sizes.axes.get(&formal.name.text) else { return };
        let name = &formal.name.text;
        let fault = Fault::error(
            "formal-is-axis",
            format!("argument `{name}` bears the name of an axis of its own signature"),
            formal.name.span,
            "this argument",
        )
        .also(*axis, "the axis comes in here")
        .help(format!("`[{name}]` means `[{name}: {name}]`, so the argument would fix that size. Give it another name."));
        self.fault(fault);
    }

    fn collect_sizes(&self, ty: &'m Type, scope: &Scope<'m>, sizes: &mut Sizes) {
        match &ty.kind {
            TypeKind::Record(fields) => fields.iter().for_each(|(_, ty)| self.collect_sizes(ty, scope, sizes)),
            TypeKind::Word(name) => {
                if let Some((ty, module)) = self.alias(name, scope.module) {
                    let mut inner = Sizes::default();
                    self.collect_sizes(ty, &Scope { module, ..scope.clone() }, &mut inner);
                    sizes.axes.extend(inner.axes.into_keys().map(|axis| (axis, name.span)));
                    sizes.names.extend(inner.names.into_keys().map(|size| (size, (2, name.span))));
                    sizes.rests.extend(inner.rests);
                }
            }
            TypeKind::Tensor(_, dims) => {
                for dim in dims {
                    self.collect_size(dim, scope, sizes);
                }
            }
        }
    }

    fn collect_size(&self, dim: &'m Dim, scope: &Scope<'m>, sizes: &mut Sizes) {
        match dim {
            Dim::Rest(name) => sizes.rests.push(name.clone()),
            Dim::Axis(axis, size) => {
                sizes.axes.entry(axis.text.clone()).or_insert(axis.span);
                match size {
                    None => sizes.names.entry(axis.text.clone()).or_insert((0, axis.span)).0 += 2,
                    Some(size) => {
                        if let Some(name) = self.free_size(size, scope) {
                            sizes.names.entry(name.text.clone()).or_insert((0, name.span)).0 += 1;
                        }
                    }
                }
            }
        }
    }

    /// The name of `axis: name` where the name is not bound otherwise.
    fn free_size(&self, size: &'m Expr, scope: &Scope<'m>) -> Option<&'m Name> {
        let ExprKind::Path(path) = &*size.kind else { return None };
        let [name] = path.segments.as_slice() else { return None };
        let own = self.modules.list[scope.module.0].names.contains_key(&name.text);
        (!is_any(size) && scope.local(&name.text).is_none() && !own).then_some(name)
    }

    /// Reports sizes with a name of their own that nothing else mentions; `rest` are the expressions that could.
    pub(super) fn lonely_sizes(&mut self, sizes: &Sizes, rest: &[&'m Expr]) {
        for (name, (count, span)) in &sizes.names {
            if *count != 1 || rest.iter().any(|expr| super::graph::mentions(expr, name)) {
                continue;
            }
            let known: Vec<&str> = sizes.names.keys().map(String::as_str).filter(|other| other != name).collect();
            let fault = Fault::error("lonely-size", format!("size `{name}` is named once and used nowhere"), *span, "only here");
            let help = match nearest(name, known) {
                Some(near) => format!("Did you mean `{near}`? For a size that is free, write `_`."),
                None => "A size is named to be used twice. For a size that is free, write `_`.".to_string(),
            };
            self.fault(fault.help(help));
        }
    }

    /// The scope in which a net's body is read, without reports.
    pub(super) fn net_scope(&mut self, net: &'m Net, module: ModuleId) -> Scope<'m> {
        self.quietly(|checker| {
            let (mut scope, _) = checker.signature(&[&net.builds, &net.inputs], net.result.as_ref(), module, false);
            if let Some(body) = &net.body {
                checker.block(&body.statements, &mut scope);
            }
            scope
        })
    }
}

/// The type of a kind.
pub(super) fn kind_type(kind: &Kind) -> Option<&Type> {
    match kind {
        Kind::Type(ty) => Some(ty),
        Kind::Choice(_) => None,
    }
}

/// The word of a kind that is one.
pub(super) fn kind_word(kind: &Kind) -> Option<&str> {
    match kind_type(kind)?.kind {
        TypeKind::Word(ref name) => Some(&name.text),
        _ => None,
    }
}

/// `_`, a size that is free.
fn is_any(size: &Expr) -> bool {
    matches!(&*size.kind, ExprKind::Path(path) if path.segments.len() == 1 && path.segments[0].text == "_")
}
