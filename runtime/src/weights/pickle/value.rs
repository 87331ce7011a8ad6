//! What a pickle makes: values that know each other by number, so that shared and even circular ones are plain data.

/// Number of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(u32);

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// `True` and `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// The whole number with which files before PyTorch 1.6 begin.
    Magic,
    /// Another number, whose value nobody needs.
    Number,
    /// A text; bytes as far as they are one.
    Text(String),
    /// A list or a set.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A dictionary in its order.
    Dict(Vec<(Id, Id)>),
    /// A class or function, `collections.OrderedDict`. It is never called.
    Global(String),
    /// Where tensors keep their elements.
    Storage(Box<Storage>),
    /// A tensor.
    Tensor(Box<Rebuilt>),
    /// What a class or function would make that is not known here, by its name.
    Opaque(Id),
}

/// A storage, as its persistent id describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Its class, `torch.FloatStorage`, a [`Node::Global`].
    pub class: Id,
    /// Its name in the container, a [`Node::Text`].
    pub key: Id,
    /// How many elements it has.
    pub elements: u64,
    /// The elements of it that tensors may see, where it is a view of another one: first, how many.
    pub view: Option<(u64, u64)>,
}

/// A tensor over a storage, in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebuilt {
    /// A [`Node::Storage`].
    pub storage: Id,
    /// Its first element.
    pub offset: u64,
    /// Sizes of its axes.
    pub shape: Vec<u64>,
    /// Elements from one place of an axis to the next.
    pub strides: Vec<u64>,
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub struct Heap {
    nodes: Vec<Node>,
}

impl Heap {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The value with this number.
    pub fn get(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// The text with this number, if it is one.
    pub fn text(&self, id: Id) -> Option<&str> {
        if let Node::Text(text) = self.get(id) { Some(text) } else { None }
    }

    /// The name of a class or function, if it is one.
    pub fn global(&self, id: Id) -> Option<&str> {
        if let Node::Global(name) = self.get(id) { Some(name) } else { None }
    }

    /// The number from zero that a value is, if it is one.
    pub fn count(&self, id: Id) -> Option<u64> {
        if let Node::Int(number) = self.get(id) { u64::try_from(*number).ok() } else { None }
    }

    /// The items of a list or tuple.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::List(items) | Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn add(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        Id(self.nodes.len() as u32 - 1)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }
}
