//! A spec with all that it uses: modules of the library, files of its own, the spec that it extends, and the prelude.

mod join;
mod own;
#[cfg(test)]
mod tests;

use crate::source::{SourceId, Sources};
use crate::syntax::{ExprKind, File, Item, ItemKind, Path, Set, Variant};
use std::collections::BTreeMap;

pub use join::load;

/// Number of a module in [`Modules::list`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleId(pub usize);

/// An item of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId {
    /// Its module.
    pub module: ModuleId,
    /// Its place in [`File::items`].
    pub item: usize,
}

/// One file or module of the library.
#[derive(Clone, Debug)]
pub struct Module {
    /// `std::mask`, or the name of the file.
    pub name: String,
    /// Whether it is of the library, which has no faults and is parsed as far as it is read.
    pub library: bool,
    /// Its text.
    pub source: SourceId,
    /// Its tree.
    pub file: File,
    /// What `mask` in `mask::full` means.
    pub uses: BTreeMap<String, ModuleId>,
    /// What it defines: one item each, or several cases of one family. Items that could not be parsed are there too where their
    /// name could be read. An `output` has no name that anything could refer to.
    pub names: BTreeMap<String, Vec<ItemId>>,
}

/// All modules of one compilation.
#[derive(Clone, Debug)]
pub struct Modules {
    /// Their texts.
    pub sources: Sources,
    /// The modules.
    pub list: Vec<Module>,
    /// The spec.
    pub root: ModuleId,
    /// What every module sees.
    pub prelude: ModuleId,
    /// Which module a module extends.
    pub base: BTreeMap<ModuleId, ModuleId>,
    /// `extend .. with name = value`: by the module that defines the name. The value is read in the module that extends, see
    /// [`Modules::of_source`].
    pub replaced: BTreeMap<ModuleId, BTreeMap<String, Set>>,
}

impl Modules {
    /// What a name means in a module: its own definitions, then those of the spec that it extends, then the prelude. A definition
    /// that `extend .. with` replaces by a name gives what that name means; one replaced by another value gives itself.
    pub fn find(&self, from: ModuleId, name: &str) -> Option<&[ItemId]> {
        self.defined(from, name).or_else(|| self.list[self.prelude.0].names.get(name).map(Vec::as_slice))
    }

    /// What `extend .. with` puts in the place of a definition of a module.
    pub fn replacement(&self, module: ModuleId, name: &str) -> Option<&Set> {
        self.replaced.get(&module)?.get(name)
    }

    /// What a path means, fields aside: a name, or `module::name`. Names that begin with `_` are private to their module.
    pub fn find_path(&self, from: ModuleId, path: &Path) -> Option<&[ItemId]> {
        match path.segments.as_slice() {
            [name] => self.find(from, &name.text),
            [module, name] if !name.text.starts_with('_') => self.defined(self.find_module(from, &module.text)?, &name.text),
            _ => None,
        }
    }

    /// The module behind a name of `use`, also of the spec that `from` extends.
    pub fn find_module(&self, from: ModuleId, name: &str) -> Option<ModuleId> {
        self.lineage(from).find_map(|module| self.list[module.0].uses.get(name).copied())
    }

    /// The item with this number.
    pub fn item(&self, id: ItemId) -> &Item {
        &self.list[id.module.0].file.items[id.item]
    }

    /// The module with this number.
    pub fn module(&self, id: ModuleId) -> &Module {
        &self.list[id.0]
    }

    /// The module of a text: in it the names of an expression from that text are read.
    pub fn of_source(&self, source: SourceId) -> Option<ModuleId> {
        self.list.iter().position(|module| module.source == source).map(ModuleId)
    }

    /// A module, the one that it extends, the one that this extends, and so on.
    pub fn lineage(&self, from: ModuleId) -> impl Iterator<Item = ModuleId> {
        std::iter::successors(Some(from), |module| self.base.get(module).copied())
    }

    /// The variants of the spec, then those of the specs that it extends.
    pub fn variants(&self) -> impl Iterator<Item = &Variant> {
        let items = self.lineage(self.root).flat_map(|module| &self.module(module).file.items);
        items.filter_map(|item| if let ItemKind::Variant(variant) = item.kind() { Some(variant) } else { None })
    }

    /// All names that mean something in a module, for suggestions.
    pub fn visible(&self, from: ModuleId) -> impl Iterator<Item = &str> {
        let modules = self.lineage(from).chain([self.prelude]);
        modules.flat_map(|module| self.list[module.0].names.keys().map(String::as_str))
    }

    /// Without the prelude.
    fn defined(&self, from: ModuleId, name: &str) -> Option<&[ItemId]> {
        self.followed(from, name, 0)
    }

    /// Follows replacements by names, a bounded number of times: two names may be put in the place of each other.
    fn followed(&self, from: ModuleId, name: &str, steps: usize) -> Option<&[ItemId]> {
        let (module, items) = self.lineage(from).find_map(|module| Some((module, self.list[module.0].names.get(name)?)))?;
        let by = self.replacement(module, name).filter(|_| steps < self.list.len());
        let other = by.and_then(|set| match &*set.value.kind {
            ExprKind::Path(path) if path.fields.is_empty() => {
                let reader = self.of_source(set.value.span.source)?;
                let (reader, name) = match path.segments.as_slice() {
                    [name] => (reader, name),
                    [module, name] => (self.find_module(reader, &module.text)?, name),
                    _ => return None,
                };
                self.followed(reader, &name.text, steps + 1)
            }
            _ => None,
        });
        other.or(Some(items.as_slice()))
    }
}
