//! Names of classes and functions: the few that state dicts are made of, by what they mean, and those that refuse a file.

use super::value::{Id, Node, Rebuilt, Storage};
use super::{Machine, Trouble, refused};

/// Modules of which a state dict needs nothing, and through which a pickle can reach the system.
const REACHING: [&str; 21] = [
    "bdb",
    "code",
    "codeop",
    "commands",
    "ctypes",
    "importlib",
    "marshal",
    "multiprocessing",
    "nt",
    "os",
    "pdb",
    "pickle",
    "pkgutil",
    "posix",
    "pty",
    "runpy",
    "shutil",
    "socket",
    "subprocess",
    "sys",
    "webbrowser",
];
/// What `builtins` has that only makes values.
const HARMLESS: [&str; 16] = [
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
];
/// Most axes of a tensor.
const MOST_AXES: usize = 16;

/// A class or function by its name.
///
/// # Errors
/// A name that runs code or reaches the system.
pub(super) fn named(module: &str, name: &str) -> Result<Node, Trouble> {
    let first = module.split('.').next().unwrap_or_default();
    let builtin = matches!(first, "builtins" | "__builtin__" | "__builtins__");
    // `STACK_GLOBAL` may walk through attributes: `builtins` has no harmless one with a dot.
    if REACHING.contains(&first) || (builtin && !HARMLESS.contains(&name)) {
        return Err(refused(format!("it names `{module}.{name}`, which no weights need: the file would run code; nothing was executed")));
    }
    Ok(Node::Global(format!("{module}.{name}")))
}

impl Machine<'_> {
    /// What a call stands for; nothing is called.
    pub(super) fn called(&mut self, function: Id, arguments: &[Id]) -> Result<Id, Trouble> {
        let Some(name) = self.heap.global(function) else {
            return self.add(Node::Opaque(function));
        };
        match (name, arguments) {
            ("collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" | "__builtin__.dict", _) => self.dictionary(arguments),
            ("torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor", [storage, offset, shape, strides, ..]) => {
                self.tensor(*storage, *offset, *shape, *strides)
            }
            // The data, whether it wants a gradient, hooks: a parameter is its tensor.
            ("torch._utils._rebuild_parameter" | "torch.nn.parameter.Parameter", [data, ..]) => Ok(*data),
            ("torch.Size" | "builtins.tuple" | "builtins.list" | "__builtin__.tuple" | "__builtin__.list", [items])
                if self.heap.items(*items).is_some() =>
            {
                Ok(*items)
            }
            _ => self.add(Node::Opaque(function)),
        }
    }

    /// A dictionary of a list of pairs, or an empty one.
    fn dictionary(&mut self, arguments: &[Id]) -> Result<Id, Trouble> {
        let list = arguments.iter().find_map(|id| self.heap.items(*id)).unwrap_or_default();
        let pair = |id: &Id| if let Some([key, value]) = self.heap.items(*id) { Some((*key, *value)) } else { None };
        let pairs: Vec<(Id, Id)> = list.iter().filter_map(pair).collect();
        self.spend(list.len())?;
        self.add(Node::Dict(pairs))
    }

    fn tensor(&mut self, storage: Id, offset: Id, shape: Id, strides: Id) -> Result<Id, Trouble> {
        if !matches!(self.heap.get(storage), Node::Storage(_)) {
            return self.add(Node::Opaque(storage));
        }
        let list = |id: Id| -> Option<Vec<u64>> {
            let items = self.heap.items(id).filter(|items| items.len() <= MOST_AXES)?;
            items.iter().map(|item| self.heap.count(*item)).collect()
        };
        match (self.heap.count(offset), list(shape), list(strides)) {
            (Some(offset), Some(shape), Some(strides)) if shape.len() == strides.len() => {
                self.spend(2 * shape.len())?;
                self.add(Node::Tensor(Box::new(Rebuilt { storage, offset, shape, strides })))
            }
            _ => Err(refused("a tensor has sizes or strides that are no lists of numbers")),
        }
    }

    /// What stands outside of the pickle: `("storage", class, key, device, elements, view)`, or in old files a class with its source.
    pub(super) fn persistent(&mut self, id: Id) -> Result<Id, Trouble> {
        let items = self.heap.items(id).unwrap_or_default().to_vec();
        self.spend(items.len())?;
        let tag = items.first().and_then(|tag| self.heap.text(*tag));
        match (tag, items.as_slice()) {
            (Some("storage"), [_, class, key, _, elements, rest @ ..]) => {
                let view = rest.first().and_then(|view| self.heap.items(*view));
                let view = match view {
                    None => None,
                    Some([_, first, count]) => self.heap.count(*first).zip(self.heap.count(*count)),
                    Some(_) => return Err(refused("a view of a storage is of another kind")),
                };
                let known = self.heap.global(*class).is_some() && self.heap.text(*key).is_some();
                match self.heap.count(*elements).filter(|_| known) {
                    Some(elements) => self.add(Node::Storage(Box::new(Storage { class: *class, key: *key, elements, view }))),
                    None => Err(refused("a storage has no class, key or number of elements")),
                }
            }
            (Some("module"), [_, class, ..]) => Ok(*class),
            _ => Err(refused("it refers to something that is neither a storage nor a class")),
        }
    }
}
