//! When terms are for: which models train, and what `with name = value` of a phase or an evaluation puts in the place of params and
//! data. What is set so is another world: everything that is computed from it is evaluated anew, the right sides are read outside.

use std::collections::HashMap;
use std::rc::Rc;

use super::Elaborator;
use super::settings::ParamKey;
use super::value::{Memo, Outcome, Scope};
use crate::modules::{ModuleId, Modules};
use crate::spec::belongs;
use crate::syntax::{Binding, Expr, ItemKind, Set};

/// Which models train: their states move, and `training` is true in their nets.
#[derive(Clone, Debug)]
pub enum Trains {
    /// None does.
    None,
    /// All do.
    All,
    /// Those whose paths begin so.
    Models(Vec<String>),
}

impl Trains {
    /// Whether the model, part or optimiser with this path trains.
    pub fn model(&self, path: &str) -> bool {
        match self {
            Trains::None => false,
            Trains::All => true,
            Trains::Models(models) => models.iter().any(|model| belongs(path, model)),
        }
    }
}

/// Who trains while terms are made.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What `training` means outside of nets.
    pub training: bool,
    /// Which models train.
    pub trains: Trains,
    /// The size of the batch, where it is known.
    pub batch: Option<usize>,
}

impl Stage {
    /// No model trains, samples come one by one.
    pub const SETTLED: Stage = Stage { training: false, trains: Trains::None, batch: None };

    fn is_settled(&self) -> bool {
        !self.training && matches!(self.trains, Trains::None) && self.batch.is_none()
    }
}

/// The definitions of all modules with what is remembered of them.
pub struct World<'m> {
    /// Who trains.
    pub stage: Stage,
    scopes: Vec<Rc<Scope<'m>>>,
    /// Params as far as they are evaluated.
    pub params: HashMap<ParamKey<'m>, Memo<'m>>,
    held: HashMap<ParamKey<'m>, Held<'m>>,
}

/// What stands in the place of a param or of a data item.
#[derive(Clone)]
pub struct Held<'m> {
    /// What is written.
    pub value: &'m Expr,
    /// Where its names are read.
    pub scope: Rc<Scope<'m>>,
    /// The world of that scope.
    pub world: usize,
    /// Who sets it, in words.
    pub by: String,
}

impl<'m> World<'m> {
    /// Nothing is evaluated, nothing set.
    pub fn new(modules: &Modules, stage: Stage) -> World<'m> {
        let scopes = (0..modules.list.len()).map(|module| Scope::of_module(ModuleId(module))).collect();
        World { stage, scopes, params: HashMap::new(), held: HashMap::new() }
    }

    /// The scope of a module.
    pub fn scope(&self, module: ModuleId) -> Rc<Scope<'m>> {
        self.scopes[module.0].clone()
    }
}

impl<'m> Elaborator<'m> {
    /// A world in which these are set, whose right sides are read in `scope` of the present one.
    pub fn world_with(&mut self, sets: &'m [Set], scope: &Rc<Scope<'m>>, by: &str) -> usize {
        let modules = self.modules;
        let mut world = World::new(modules, self.stage().clone());
        for set in sets {
            let [name] = set.target.segments.as_slice() else { continue };
            let Some(id) = modules.find(scope.module, &name.text).and_then(|ids| ids.first()).copied() else { continue };
            let own = match modules.item(id).kind() {
                ItemKind::Param(param) => &param.name.text,
                ItemKind::Data(binding) => &binding.binder.name.text,
                _ => continue,
            };
            world.held.insert((id.module, own), Held { value: &set.value, scope: scope.clone(), world: self.world, by: by.to_string() });
        }
        self.worlds.push(world);
        self.worlds.len() - 1
    }

    /// What is evaluated in another world.
    pub fn within<T>(&mut self, world: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.world, world);
        let result = work(self);
        self.world = before;
        result
    }

    /// What stands in the place of a param or of a data item of a module.
    pub fn held(&self, module: ModuleId, name: &'m str) -> Option<Held<'m>> {
        self.worlds[self.world].held.get(&(module, name)).cloned()
    }

    /// What a data item is made of.
    pub fn data_value(&mut self, binding: &'m Binding, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        match self.held(scope.module, &binding.binder.name.text) {
            Some(held) => self.within(held.world, |outside| outside.eval(held.value, &held.scope)),
            None => self.eval(&binding.value, scope),
        }
    }

    /// What `training` means at a place: in a net whether its model trains.
    pub fn trains_in(&self, scope: &Scope<'m>) -> bool {
        match &scope.instance {
            Some(path) => self.stage().trains.model(path),
            None => self.stage().training,
        }
    }

    /// Who trains in the present world.
    pub fn stage(&self) -> &Stage {
        &self.worlds[self.world].stage
    }

    /// What is evaluated with what the present world sets, but with all models settled.
    pub fn settled<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        if self.stage().is_settled() {
            return work(self);
        }
        let known = self.settled_worlds.get(&self.world).copied();
        let world = known.unwrap_or_else(|| {
            let held = self.worlds[self.world].held.clone();
            self.worlds.push(World { held, ..World::new(self.modules, Stage::SETTLED) });
            self.worlds.len() - 1
        });
        self.settled_worlds.insert(self.world, world);
        self.within(world, work)
    }

    /// What is evaluated with what the present world sets, with all models settled and this many samples side by side.
    pub fn in_a_batch_of<T>(&mut self, count: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        let held = self.worlds[self.world].held.clone();
        self.worlds.push(World { held, ..World::new(self.modules, Stage { batch: Some(count), ..Stage::SETTLED }) });
        self.within(self.worlds.len() - 1, work)
    }
}
