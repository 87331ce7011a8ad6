//! Loads a spec and, one after the other, what it uses and extends.

use super::{Module, ModuleId, Modules, own};
use crate::fault::Fault;
use crate::library;
use crate::nearest::suggestion;
use crate::parse::{parse, parse_library};
use crate::source::{LoadError, Loader, Sources, Span};
use crate::syntax::{Extend, Item, ItemKind, Path, Set, Text, Use, UseTarget};
use std::collections::BTreeMap;

/// Files that may use each other in a row.
const DEEPEST: usize = 64;

/// Joins a spec with all that it uses. What is missing or wrong is left out and has a fault.
///
/// Codes: those of [`parse`], and `missing-module`, `cyclic-use`, `outside-package`, `unreadable`, `duplicate-name`, `unknown-replacement`
/// (a name that `extend .. with` replaces), `misplaced` (a second `extend`), `too-deep`.
pub fn load(name: &str, text: &str, loader: &dyn Loader) -> (Modules, Vec<Fault>) {
    let (sources, list) = (Sources::default(), Vec::new());
    let modules = Modules { sources, list, root: ModuleId(0), prelude: ModuleId(0), base: BTreeMap::new(), replaced: BTreeMap::new() };
    let mut join = Join { modules, loader, known: BTreeMap::new(), way: Vec::new(), faults: Vec::new() };
    let prelude = library::text(library::PRELUDE).unwrap_or("");
    join.modules.prelude = join.module(format!("std::{}", library::PRELUDE), prelude, true);
    join.modules.root = join.module(name.to_owned(), text, false);
    (join.modules, join.faults)
}

/// A module that is being loaded, and the place that asked for it.
struct Step {
    module: ModuleId,
    asked: Option<Span>,
}

struct Join<'a> {
    modules: Modules,
    loader: &'a dyn Loader,
    known: BTreeMap<String, ModuleId>,
    /// From the root to the module that is being loaded.
    way: Vec<Step>,
    faults: Vec<Fault>,
}

impl Join<'_> {
    /// Parses a text and loads all that it needs.
    fn module(&mut self, name: String, text: &str, library: bool) -> ModuleId {
        let source = self.modules.sources.add(name.clone(), text);
        let sources = &self.modules.sources;
        let (file, faults) = if library { (parse_library(sources, source), Vec::new()) } else { parse(sources, source) };
        let id = ModuleId(self.modules.list.len());
        let (names, doubled) = own::names(&self.modules.sources, id, &file);
        self.faults.extend(faults.into_iter().chain(doubled));
        self.known.insert(name.clone(), id);
        let items: Vec<ItemKind> = file.items.iter().filter_map(Item::plain).filter(|kind| joins(kind)).cloned().collect();
        self.modules.list.push(Module { name, library, source, file, uses: BTreeMap::new(), names });
        if self.way.is_empty() {
            self.way.push(Step { module: id, asked: None });
            self.join(id, &items);
            self.way.pop();
        } else {
            self.join(id, &items);
        }
        id
    }

    fn join(&mut self, id: ModuleId, items: &[ItemKind]) {
        for item in items {
            match item {
                ItemKind::Use(uses) => uses.iter().for_each(|used| self.used(id, used)),
                ItemKind::Extend(extend) => self.extended(id, extend),
                _ => {}
            }
        }
    }

    fn used(&mut self, from: ModuleId, used: &Use) {
        let (found, name) = match &used.target {
            UseTarget::Module(path) => (self.of_library(from, path), path.segments.last()),
            UseTarget::File(file) => (self.of_file(from, file), None),
        };
        let Some(name) = used.rename.as_ref().or(name) else { return };
        let Some(target) = found else { return };
        if self.modules.list[from.0].uses.insert(name.text.clone(), target).is_some() {
            let fault = Fault::error("duplicate-name", format!("two uses are named `{}`", name.text), name.span, "used again here");
            self.faults.push(fault.help("remove one, or give it another name: `use std::x as y`"));
        }
    }

    fn extended(&mut self, from: ModuleId, extend: &Extend) {
        if self.modules.base.contains_key(&from) {
            let fault = Fault::error("misplaced", "a spec extends one other spec", extend.file.span, "this is the second");
            self.faults.push(fault.help("extend one of them in the other"));
            return;
        }
        let Some(base) = self.of_file(from, &extend.file) else { return };
        self.modules.base.insert(from, base);
        for set in &extend.with {
            self.replace(base, &extend.file, set);
        }
        self.hidden(from, base);
    }

    /// `with name = value`: the name must be one of the extended spec.
    fn replace(&mut self, base: ModuleId, file: &Text, set: &Set) {
        let name = set.target.segments.first().map_or("", |name| name.text.as_str());
        let plain = set.target.segments.len() == 1 && set.target.fields.is_empty();
        let owner = self.modules.lineage(base).find(|module| self.modules.list[module.0].names.contains_key(name));
        match owner {
            Some(owner) if plain => {
                self.modules.replaced.entry(owner).or_default().insert(name.to_owned(), set.clone());
            }
            _ => {
                let written = self.modules.sources.slice(set.target.span).to_owned();
                let names = self.modules.lineage(base).flat_map(|module| self.modules.list[module.0].names.keys());
                let help = suggestion(&written, names.map(String::as_str));
                let message = format!("`{}` does not define `{written}`", file.text);
                let mut fault = Fault::error("unknown-replacement", message, set.target.span, "nothing to replace");
                fault.help = help;
                self.faults.push(fault);
            }
        }
    }

    /// Own names must not hide those of the extended spec.
    fn hidden(&mut self, from: ModuleId, base: ModuleId) {
        let modules = &self.modules;
        let place = |id: super::ItemId| modules.item(id).span;
        let mut faults = Vec::new();
        for (name, items) in &modules.list[from.0].names {
            let before = modules.lineage(base).find_map(|module| modules.list[module.0].names.get(name));
            if let (Some(&[again, ..]), Some(&[first, ..])) = (Some(items.as_slice()), before.map(Vec::as_slice)) {
                faults.push(
                    own::twice(name, place(again), place(first))
                        .help(format!("give it another name, and put it in place: `extend .. with {name} = other`")),
                );
            }
        }
        self.faults.extend(faults);
    }

    /// A module of the library: `std::mask`, or `mask` from a module beside it.
    fn of_library(&mut self, from: ModuleId, path: &Path) -> Option<ModuleId> {
        let inside = self.modules.list[from.0].name.starts_with("std::");
        let name = match path.segments.as_slice() {
            [std, name] if std.text == "std" && path.fields.is_empty() => Some(name),
            [name] if inside && path.fields.is_empty() => Some(name),
            _ => None,
        };
        let found = name.filter(|name| name.text != library::PRELUDE).and_then(|name| Some((name, library::text(&name.text)?)));
        if let Some((name, text)) = found {
            return self.enter(format!("std::{}", name.text), text, true, path.span);
        }
        let written = self.modules.sources.slice(path.span).to_owned();
        let last = path.segments.last().map_or("", |name| name.text.as_str());
        let label = "no such module of the library";
        let mut fault = Fault::error("missing-module", format!("there is no module `{written}`"), path.span, label);
        fault.help = if last == library::PRELUDE {
            Some("the prelude is visible everywhere without `use`".to_owned())
        } else if name.is_none() && library::text(last).is_some() {
            Some(format!("write `use std::{last}`; for a file, `use \"./{last}.seg\" as {last}`"))
        } else {
            suggestion(last, library::names())
        };
        self.faults.push(fault);
        None
    }

    /// A file, relative to the one that asks for it.
    fn of_file(&mut self, from: ModuleId, file: &Text) -> Option<ModuleId> {
        let asking = self.modules.list[from.0].name.clone();
        let (path, span) = (&file.text, file.span);
        let fault = match self.loader.load(&asking, path) {
            Ok((name, text)) => return self.enter(name, &text, false, span),
            Err(LoadError::Missing(beside)) => {
                let last = path.rsplit('/').next().unwrap_or(path);
                let mut fault = Fault::error("missing-module", format!("there is no file `{path}`"), span, "not found");
                fault.help = suggestion(last, beside.iter().map(String::as_str));
                fault
            }
            Err(LoadError::Outside) => {
                Fault::error("outside-package", format!("`{path}` leaves the folder of the spec"), span, "climbs out of the package")
                    .help("a spec reads `.seg` files of its own package only: copy the file beside the spec")
            }
            Err(LoadError::Unreadable(why)) => Fault::error("unreadable", format!("`{path}` cannot be read: {why}"), span, "this file")
                .help("it must be a text file in UTF-8 that you may read"),
        };
        self.faults.push(fault);
        None
    }

    /// A module that is known already, or is loaded now.
    fn enter(&mut self, name: String, text: &str, library: bool, asked: Span) -> Option<ModuleId> {
        let known = self.known.get(&name).copied();
        if let Some(id) = known {
            if let Some(start) = self.way.iter().position(|step| step.module == id) {
                self.cycle(start, asked);
                return None;
            }
            return Some(id);
        }
        if self.way.len() >= DEEPEST {
            let message = format!("more than {DEEPEST} files use each other in a row");
            self.faults.push(Fault::error("too-deep", message, asked, "here"));
            return None;
        }
        // The number that `module` will give.
        self.way.push(Step { module: ModuleId(self.modules.list.len()), asked: Some(asked) });
        let id = self.module(name, text, library);
        self.way.pop();
        Some(id)
    }

    /// Reports a way round that begins at step `start` and is closed by `asked`.
    fn cycle(&mut self, start: usize, asked: Span) {
        let round = &self.way[start..];
        let name = |step: &Step| format!("`{}`", self.modules.list[step.module.0].name);
        let names: Vec<String> = round.iter().chain(&round[..1]).map(name).collect();
        let message = format!("files use each other in a circle: {}", names.join(" -> "));
        let mut fault = Fault::error("cyclic-use", message, asked, "this closes the circle");
        for step in &round[1..] {
            if let Some(span) = step.asked {
                fault = fault.also(span, "by way of this");
            }
        }
        self.faults.push(fault.help("put what both need into a third file"));
    }
}

/// Whether the item brings in another module.
fn joins(kind: &ItemKind) -> bool {
    matches!(kind, ItemKind::Use(_) | ItemKind::Extend(_))
}
