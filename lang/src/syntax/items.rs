//! Items of a file. What an item is may be found out when something asks for it.

use std::sync::{Arc, LazyLock};

use super::{ItemKind, Name};
use crate::source::Span;

/// An item with its documentation.
#[derive(Clone, Debug)]
pub struct Item {
    /// The `///` lines, without the marker.
    pub docs: Vec<String>,
    /// All of it, without the documentation.
    pub span: Span,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Known(Box<ItemKind>),
    Later(Arc<Later>),
}

type Parse = Box<dyn FnOnce() -> Item + Send>;

/// A function or net that is parsed when something reads it.
#[derive(Debug)]
struct Later {
    name: Name,
    item: LazyLock<Item, Parse>,
}

impl Item {
    /// An item that is parsed.
    pub fn new(docs: Vec<String>, span: Span, kind: ItemKind) -> Item {
        Item { docs, span, content: Content::Known(Box::new(kind)) }
    }

    /// A function or net of which the name is known; `parse` gives the same item, parsed.
    pub fn later(docs: Vec<String>, span: Span, name: Name, parse: impl FnOnce() -> Item + Send + 'static) -> Item {
        let item = LazyLock::new(Box::new(parse) as Parse);
        Item { docs, span, content: Content::Later(Arc::new(Later { name, item })) }
    }

    /// What it is.
    pub fn kind(&self) -> &ItemKind {
        match &self.content {
            Content::Known(kind) => kind,
            Content::Later(later) => later.item.kind(),
        }
    }

    /// What it is, and nothing for functions and nets: who looks for other things need not have them parsed.
    pub fn plain(&self) -> Option<&ItemKind> {
        match &self.content {
            Content::Known(kind) => Some(&**kind).filter(|kind| !matches!(kind, ItemKind::Fn(_) | ItemKind::Net(_))),
            Content::Later(_) => None,
        }
    }

    /// The name of a function or net that may still be unparsed.
    pub fn announced(&self) -> Option<&Name> {
        match &self.content {
            Content::Known(_) => None,
            Content::Later(later) => Some(&later.name),
        }
    }
}
