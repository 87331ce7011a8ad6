//! What a file defines.

use super::{ItemId, ModuleId};
use crate::fault::Fault;
use crate::parse::lex::{TokenKind, tokens};
use crate::parse::words::ITEMS;
use crate::source::{Sources, Span};
use crate::syntax::{Binder, File, ItemKind, Name};
use std::collections::BTreeMap;

/// Faults about names that one file may have; further ones teach nothing.
const MOST_FAULTS: usize = 100;

/// A definition: its name, whether it may be one case of several, and where it stands.
struct Own {
    name: String,
    span: Span,
    family: bool,
    broken: bool,
    item: usize,
}

/// The names of a file, with faults for those that are defined twice.
pub fn names(sources: &Sources, module: ModuleId, file: &File) -> (BTreeMap<String, Vec<ItemId>>, Vec<Fault>) {
    let mut first: BTreeMap<String, Own> = BTreeMap::new();
    let mut names: BTreeMap<String, Vec<ItemId>> = BTreeMap::new();
    let mut faults = Vec::new();
    for own in file.items.iter().enumerate().flat_map(|(number, _)| definitions(sources, file, number)) {
        let id = ItemId { module, item: own.item };
        let Some(before) = first.get(&own.name) else {
            names.insert(own.name.clone(), vec![id]);
            first.insert(own.name.clone(), own);
            continue;
        };
        let kind = |item: usize| std::mem::discriminant(file.items[item].kind());
        if own.broken || before.broken {
            continue;
        }
        if own.family && before.family && kind(own.item) == kind(before.item) {
            names.entry(own.name).or_default().push(id);
        } else {
            faults.push(twice(&own.name, own.span, before.span));
        }
    }
    faults.extend(outputs_twice(file));
    faults.truncate(MOST_FAULTS);
    (names, faults)
}

/// Says that a name is defined at two places.
pub fn twice(name: &str, second: Span, first: Span) -> Fault {
    Fault::error("duplicate-name", format!("`{name}` is defined twice"), second, "defined again here")
        .also(first, "first defined here")
        .help("a name means one thing in a file: rename one of them")
}

/// What an item defines. `use`, `extend` and `output` define no name that an expression could use.
fn definitions(sources: &Sources, file: &File, number: usize) -> Vec<Own> {
    let one = |name: &Name, family: bool| Own { name: name.text.clone(), span: name.span, family, broken: false, item: number };
    let plain = |name: &Name| vec![one(name, false)];
    let binder = |binder: &Binder| vec![one(&binder.name, binder.family.is_some())];
    if let Some(name) = file.items[number].announced() {
        return plain(name);
    }
    match file.items[number].kind() {
        ItemKind::Use(_) | ItemKind::Extend(_) | ItemKind::Output(_) | ItemKind::Accept(_) => Vec::new(),
        ItemKind::Axis(names, _) => names.iter().map(|name| one(name, false)).collect(),
        ItemKind::Alias(name, _) | ItemKind::Names(name, _) | ItemKind::Scene(name, _) => plain(name),
        ItemKind::Param(param) => plain(&param.name),
        ItemKind::Variant(variant) => plain(&variant.name),
        ItemKind::Fn(function) => plain(&function.name),
        ItemKind::Net(net) => plain(&net.name),
        ItemKind::Eval(eval) => plain(&eval.name),
        ItemKind::Data(binding) | ItemKind::Let(binding) | ItemKind::Loss(binding) => binder(&binding.binder),
        ItemKind::Model(model) => binder(&model.binder),
        ItemKind::Perturb(perturb) => binder(&perturb.binder),
        ItemKind::Solve(solve) => binder(&solve.binder),
        ItemKind::Train(train) => binder(&train.binder),
        ItemKind::Draw(draw) => draw.binders.iter().map(|binder| one(&binder.name, binder.family.is_some())).collect(),
        ItemKind::Broken => lost(sources, file, number).into_iter().collect(),
    }
}

/// The name that an unparsable item was going to define, so that its uses are no further faults.
fn lost(sources: &Sources, file: &File, number: usize) -> Option<Own> {
    let span = file.items[number].span;
    let text = sources.slice(span);
    let mut words = tokens(text).into_iter().filter(|token| !token.is_comment()).take_while(|token| token.kind == TokenKind::Word);
    let first = words.next()?;
    let name = match first.text(text) {
        "frozen" | "builtin" => words.find(|word| !matches!(word.text(text), "host" | "fn" | "model"))?,
        "use" | "extend" | "output" | "accept" => return None,
        word if ITEMS.contains(&word) => words.next()?,
        _ => words.next().unwrap_or(first),
    };
    Some(Own { name: name.text(text).to_owned(), span, family: false, broken: true, item: number })
}

/// Faults for outputs of one name.
fn outputs_twice(file: &File) -> Vec<Fault> {
    let mut first: BTreeMap<&str, Span> = BTreeMap::new();
    let mut faults = Vec::new();
    for item in &file.items {
        if let Some(ItemKind::Output(output)) = item.plain() {
            match first.get(output.name.text.as_str()) {
                Some(before) => faults.push(twice(&output.name.text, output.name.span, *before)),
                None => drop(first.insert(&output.name.text, output.name.span)),
            }
        }
    }
    faults
}
