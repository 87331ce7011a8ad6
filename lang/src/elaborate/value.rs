//! What an expression means while a spec is elaborated: compile-time values, and tensors as numbers of terms.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::builtin::Given;
use super::number::Number;
use crate::modules::ModuleId;
use crate::source::Span;
use crate::spec::{self, Axis, TermId};
use crate::syntax;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Abort {
    /// A fault is recorded.
    Faulted,
    /// It needs something that is not executed yet, which is recorded. What it is computed from is known all the same.
    Pending(Origins),
}

/// What a value is computed from, as far as checks ask.
pub type Origins = Rc<BTreeSet<Origin>>;

/// One of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A draw, by its name path, and where it is drawn.
    Draw(String, Span),
    /// Ground truth, and where it is read.
    Label(Span),
    /// Something that is not executed yet, in words, and where.
    Awaited(String, Span),
}

/// A value or the reason for having none.
pub type Outcome<'m> = Result<Value<'m>, Abort>;

/// A value.
#[derive(Clone)]
pub enum Value<'m> {
    /// A number known when compiling.
    Number(Number),
    /// A truth value known when compiling.
    Bool(bool),
    /// A text, a file or a folder.
    Text(Rc<str>),
    /// A word of a choice, and all its words.
    Choice(&'m str, &'m [syntax::Name]),
    /// `none`.
    None,
    /// A list.
    List(Rc<[Value<'m>]>),
    /// A record.
    Record(Rc<[(String, Value<'m>)]>),
    /// `over: [height, width]`.
    Axes(Axes),
    /// `30 steps`.
    Duration(Number, syntax::Unit),
    /// A run-time value, per sample.
    Tensor(TermId),
    /// A function written in the language, builtin, or of the host.
    Function(&'m syntax::Fn, ModuleId),
    /// A net, perhaps with some of what builds it.
    Net(Rc<Recipe<'m>>),
    /// A net that is built and has a name: a model or a part of one.
    Instance(Rc<Instance<'m>>),
    /// A random distribution.
    Distribution(Rc<Distributed>),
    /// A family or recurrence whose member is still to be named.
    Family(Rc<Found<'m>>),
    /// A family of layers or fields of a scene, whose member is still to be named.
    Layers(Rc<Scene<'m>>, &'m str),
    /// A data item and its part.
    Data(usize, spec::Part),
    /// A data pipeline in the making.
    Pipeline(Rc<Pipeline>),
    /// A member of a solve after its last step.
    Solved(usize, usize),
    /// A scene or perturbation, whose fields are computed when read.
    Scene(Rc<Scene<'m>>),
}

/// Axes as an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Axes {
    /// All that the sample has.
    All,
    /// These.
    Listed(Vec<Axis>),
}

/// Axes with their sizes.
pub type SizedAxes = Vec<(Axis, usize)>;

/// A net and what is given so far to build it.
#[derive(Clone)]
pub struct Recipe<'m> {
    /// The net.
    pub net: &'m syntax::Net,
    /// Where it is written.
    pub module: ModuleId,
    /// The arguments of its first list.
    pub given: Vec<(Option<&'m syntax::Name>, Given<'m>)>,
}

/// A net that is built and has a name.
pub struct Instance<'m> {
    /// The net.
    pub net: &'m syntax::Net,
    /// What the model or part is called.
    pub name: &'m str,
    /// Model, parts and families down to it: `critic.block.8.conv_1`.
    pub path: Rc<str>,
    /// What builds it, bound.
    pub scope: Rc<Scope<'m>>,
}

/// A distribution with its parameters and the axes of what is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Distributed {
    /// Which one.
    pub from: spec::Distribution,
    /// Its parameters.
    pub args: Vec<TermId>,
    /// `normal[feature: 64]`.
    pub axes: SizedAxes,
}

/// Definitions of one name (several for a family with cases) and the scope in which they stand.
pub struct Found<'m> {
    /// The name.
    pub name: &'m str,
    /// Its cases.
    pub cases: Vec<Def<'m>>,
    /// Where they are evaluated and remembered.
    pub scope: Rc<Scope<'m>>,
}

/// Something that has a value and perhaps an index.
#[derive(Clone, Copy)]
pub enum Def<'m> {
    /// `let`, `loss`.
    Let(&'m syntax::Binding),
    /// `data`.
    Data(&'m syntax::Binding),
    /// `layer`.
    Layer(&'m syntax::Binding),
    /// The binder with this number of a `draw`.
    Draw(&'m syntax::Draw, usize),
    /// `solve`.
    Solve(&'m syntax::Solve),
    /// `scene`.
    Scene(&'m syntax::Name, &'m [syntax::Statement]),
    /// `perturb`.
    Perturb(&'m syntax::Perturb),
    /// A slot of a perturbation: its statement has the binder, the fields and the value.
    Slot(&'m syntax::Statement),
    /// `model`.
    Model(&'m syntax::Model),
    /// The binder with this number of a `part`, and the net.
    Part(&'m [syntax::Binder], usize, &'m syntax::Expr),
    /// `weight`.
    Weight(&'m syntax::Stored),
    /// `state` of a net.
    State(&'m syntax::Stored),
}

impl<'m> Def<'m> {
    /// The index, for members of families.
    pub fn family(&self) -> Option<&'m syntax::Family> {
        match self {
            Def::Let(b) | Def::Data(b) | Def::Layer(b) => b.binder.family.as_ref(),
            Def::Draw(d, k) => d.binders[*k].family.as_ref(),
            Def::Solve(s) => s.binder.family.as_ref(),
            Def::Perturb(p) => p.binder.family.as_ref(),
            Def::Model(m) => m.binder.family.as_ref(),
            Def::Part(binders, k, _) => binders[*k].family.as_ref(),
            Def::Scene(..) | Def::Weight(_) | Def::State(_) => None,
            Def::Slot(s) => match &s.kind {
                syntax::StatementKind::Slot(binder, ..) => binder.family.as_ref(),
                _ => None,
            },
        }
    }

    /// The name with its place.
    pub fn name(&self) -> Option<&'m syntax::Name> {
        match self {
            Def::Let(b) | Def::Data(b) | Def::Layer(b) => Some(&b.binder.name),
            Def::Draw(d, k) => Some(&d.binders[*k].name),
            Def::Solve(s) => Some(&s.binder.name),
            Def::Perturb(p) => Some(&p.binder.name),
            Def::Model(m) => Some(&m.binder.name),
            Def::Part(binders, k, _) => Some(&binders[*k].name),
            Def::Weight(stored) | Def::State(stored) => Some(&stored.name),
            Def::Scene(name, _) => Some(name),
            Def::Slot(s) => match &s.kind {
                syntax::StatementKind::Slot(binder, ..) => Some(&binder.name),
                _ => None,
            },
        }
    }
}

/// What is remembered of a definition.
#[derive(Clone)]
pub enum Memo<'m> {
    /// It is being evaluated: meeting it again is a cycle.
    Running,
    /// It has been evaluated.
    Done(Outcome<'m>),
}

/// A definition, and of a family the member, as [`Value::key`] says it.
pub type MemberKey<'m> = (&'m str, Option<String>);

/// Names with meanings: a module, a call, a member of a family, a solve, a scene.
pub struct Scope<'m> {
    /// Where names are looked up that this one has not.
    pub parent: Option<Rc<Scope<'m>>>,
    /// The module of the text.
    pub module: ModuleId,
    /// Axes over which the present call is mapped: reductions of all axes leave them alone.
    pub carried: Vec<Axis>,
    /// The same axes with their sizes.
    pub folded: SizedAxes,
    /// Name path of draws.
    pub path: Rc<str>,
    /// Calls that stand in the definition that is evaluated: which name was called where. Calls of one name are told apart by it.
    pub sites: Rc<RefCell<Vec<(&'m str, Span)>>>,
    /// Places of the calls that lead here from the spec.
    pub order: Rc<Vec<Span>>,
    /// Of a net's body: the path of the instance.
    pub instance: Option<Rc<str>>,
    /// Of the body of a net with states: number of the call in [`crate::spec::Spec::calls`].
    pub call: Option<usize>,
    /// The axes that `..a` of a signature stands for.
    pub rests: RefCell<Vec<(&'m str, SizedAxes)>>,
    /// Names with values.
    pub bound: RefCell<Vec<(&'m str, Value<'m>)>>,
    /// Names with definitions, evaluated when read.
    pub defs: Vec<Def<'m>>,
    /// Values of the definitions by name and index.
    pub memo: RefCell<FxHashMap<MemberKey<'m>, Memo<'m>>>,
    /// A layer's name in a perturbation means the base's.
    pub base: Option<Rc<Scene<'m>>>,
}

impl<'m> Scope<'m> {
    /// The scope of a module.
    pub fn of_module(module: ModuleId) -> Rc<Scope<'m>> {
        Rc::new(Scope {
            parent: None,
            module,
            carried: Vec::new(),
            folded: Vec::new(),
            path: Rc::default(),
            sites: Rc::default(),
            order: Rc::default(),
            instance: None,
            call: None,
            rests: RefCell::default(),
            bound: RefCell::default(),
            defs: Vec::new(),
            memo: RefCell::default(),
            base: None,
        })
    }

    /// A scope inside, with some names bound and others defined.
    pub fn inside(self: &Rc<Self>, path: &str, bound: Vec<(&'m str, Value<'m>)>, defs: Vec<Def<'m>>) -> Scope<'m> {
        let dot = if self.path.is_empty() || path.starts_with('[') { "" } else { "." };
        Scope {
            parent: Some(self.clone()),
            module: self.module,
            carried: self.carried.clone(),
            folded: self.folded.clone(),
            path: if path.is_empty() { self.path.clone() } else { [&self.path, dot, path].concat().into() },
            sites: if path.is_empty() { self.sites.clone() } else { Rc::default() },
            order: self.order.clone(),
            instance: self.instance.clone(),
            call: self.call,
            rests: RefCell::default(),
            bound: RefCell::new(bound),
            defs,
            memo: RefCell::default(),
            base: None,
        }
    }

    /// The axes that `..name` stands for.
    pub fn rest(&self, name: &str) -> Option<SizedAxes> {
        let own = self.rests.borrow().iter().find(|(key, _)| *key == name).map(|(_, axes)| axes.clone());
        own.or_else(|| self.parent.as_ref().and_then(|parent| parent.rest(name)))
    }

    /// The name path of a call of this name at this place: the second one in a definition is numbered.
    pub fn site(&self, name: &'m str, span: Span) -> Rc<str> {
        let mut sites = self.sites.borrow_mut();
        let known = sites.iter().filter(|(own, _)| *own == name).position(|(_, place)| *place == span);
        let number = known.unwrap_or_else(|| {
            sites.push((name, span));
            sites.iter().filter(|(own, _)| *own == name).count() - 1
        });
        let dot = if self.path.is_empty() { "" } else { "." };
        let count = if number == 0 { String::new() } else { format!("#{}", number + 1) };
        [&*self.path, dot, name, &count].concat().into()
    }

    /// The value bound here or outside, without evaluating definitions; none where a definition hides it.
    pub fn bound(&self, name: &str) -> Option<Value<'m>> {
        if let Some((_, value)) = self.bound.borrow().iter().rev().find(|(key, _)| *key == name) {
            return Some(value.clone());
        }
        if self.defs.iter().any(|def| def.name().is_some_and(|known| known.text == name)) {
            return None;
        }
        self.parent.as_ref().and_then(|parent| parent.bound(name))
    }

    /// Binds a name.
    pub fn bind(&self, name: &'m str, value: Value<'m>) {
        self.bound.borrow_mut().push((name, value));
    }
}

/// A scene: the scope of its definitions; a perturbation has slots over a base.
pub struct Scene<'m> {
    /// Its definitions.
    pub scope: Rc<Scope<'m>>,
    /// What it perturbs.
    pub base: Option<Rc<Scene<'m>>>,
    /// Its name.
    pub name: &'m str,
}

impl<'m> Scene<'m> {
    /// The name of a field, where the scene or what it perturbs has it.
    pub fn field(&self, name: &str) -> Option<&'m str> {
        let own = self.scope.defs.iter().filter_map(Def::name).find(|own| own.text == name);
        own.map(|name| name.text.as_str()).or_else(|| self.base.as_ref().and_then(|base| base.field(name)))
    }

    /// The names of all fields.
    pub fn fields(&self) -> Vec<String> {
        let mut names = self.base.as_ref().map(|base| base.fields()).unwrap_or_default();
        names.extend(self.scope.defs.iter().filter_map(Def::name).map(|name| name.text.clone()));
        names
    }
}

/// A data pipeline.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Where the samples come from.
    pub source: spec::Pictures,
    /// The steps so far.
    pub steps: Vec<spec::Step>,
    /// What is known of the sides.
    pub sides: Sides,
}

/// What is known of the sides of the pictures in a pipeline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sides {
    /// Nothing.
    Any,
    /// They are square.
    Square,
    /// The shorter one is this long.
    Shorter(usize),
    /// Both are this long.
    Both(usize),
}

impl Value<'_> {
    /// What it is, in words, with its article.
    pub fn describe(&self) -> String {
        match self {
            Value::Number(number) => format!("the number {number}"),
            Value::Bool(value) => format!("`{value}`"),
            Value::Text(_) => "a text".into(),
            Value::Choice(word, _) => format!("the choice `{word}`"),
            Value::None => "`none`".into(),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Record(fields) => {
                format!("a record {{ {} }}", fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "))
            }
            Value::Axes(_) => "axes".into(),
            Value::Duration(..) => "a duration".into(),
            Value::Tensor(_) => "a run-time value".into(),
            Value::Function(function, _) => format!("the function `{}`", function.name.text),
            Value::Net(recipe) => format!("the net `{}`", recipe.net.name.text),
            Value::Instance(instance) => format!("the net `{}`", instance.path),
            Value::Distribution(_) => "a distribution".into(),
            Value::Family(found) => format!("the family `{}`", found.name),
            Value::Layers(_, name) => format!("the family `{name}`"),
            Value::Data(..) => "a data item".into(),
            Value::Pipeline(_) => "a data pipeline".into(),
            Value::Solved(..) => "a solve".into(),
            Value::Scene(scene) => format!("the scene `{}`", scene.name),
        }
    }

    /// The text by which a member of a family is remembered and shown.
    pub fn key(&self) -> Option<String> {
        match self {
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Text(text) => Some(text.to_string()),
            Value::Choice(word, _) => Some((*word).to_string()),
            Value::List(items) => Some(format!("[{}]", items.iter().map(Value::key).collect::<Option<Vec<_>>>()?.join(", "))),
            _ => None,
        }
    }
}
