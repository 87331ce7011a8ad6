//! What the pickle of a checkpoint holds: tensors by dotted names, and what lies beside them.

use std::collections::HashMap;

use super::elements::Element;
use super::pickle::{Heap, Id, Made, Node, Rebuilt};
use super::{Listed, Other, Place};

/// Most dictionaries and lists around a tensor.
const DEEPEST: usize = 32;
/// Most values that are looked at: shared ones count as often as they are seen.
const MOST_SEEN: usize = 1 << 20;
/// Most bytes of all names together.
const MOST_LETTERS: usize = 64 << 20;

/// A storage of a container.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Its first byte in the file.
    pub at: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

/// The tensors of a pickle and what else has a name, where storages lie as their keys say.
///
/// # Errors
/// What is wrong, in words: a tensor that its storage does not hold, circles, no tensor at all.
pub fn listed(made: &Made, storages: &HashMap<&str, Stored>) -> Result<(Vec<Listed>, Vec<Other>), String> {
    let (mut tensors, mut others) = (Vec::new(), Vec::new());
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut walk = Walk { heap: &made.heap, open: vec![(made.root, String::new(), 0)], seen: 0, letters: 0 };
    while let Some((id, name)) = walk.next()? {
        match made.heap.get(id) {
            Node::Tensor(tensor) => {
                let class = walk.class_of(tensor);
                let Some(element) = Element::of_class(class) else {
                    others.push(Other { name, what: class.to_string() });
                    continue;
                };
                let listed = placed(&made.heap, tensor, element, name, storages)?;
                // Of equal keys of a dictionary the last one counts.
                match places.get(&listed.name) {
                    Some(place) => tensors[*place] = listed,
                    None => {
                        places.insert(listed.name.clone(), tensors.len());
                        tensors.push(listed);
                    }
                }
            }
            Node::Opaque(class) => {
                let what = made.heap.global(*class).unwrap_or("an unnamed class").to_string();
                others.push(Other { name, what });
            }
            _ => {}
        }
    }
    match (tensors.is_empty(), others.first()) {
        (false, _) => Ok((tensors, others)),
        (true, Some(Other { name, what })) if name.is_empty() => Err(format!(
            "it holds an object of `{what}`, which only its own program can read; write `torch.save(model.state_dict(), ..)` there"
        )),
        (true, _) => Err("it holds no tensor".into()),
    }
}

/// A way through nested containers, in their order.
struct Walk<'a> {
    heap: &'a Heap,
    open: Vec<(Id, String, usize)>,
    seen: usize,
    letters: usize,
}

impl<'a> Walk<'a> {
    /// The next value that is no container, with its name.
    fn next(&mut self) -> Result<Option<(Id, String)>, String> {
        while let Some((id, name, depth)) = self.open.pop() {
            let inner: Vec<(String, Id)> = match self.heap.get(id) {
                Node::Dict(pairs) => pairs.iter().filter_map(|(key, value)| Some((self.key(*key)?, *value))).collect(),
                Node::List(items) | Node::Tuple(items) => items.iter().enumerate().map(|(at, id)| (at.to_string(), *id)).collect(),
                _ => return Ok(Some((id, name))),
            };
            self.seen += inner.len();
            self.letters += inner.iter().map(|(key, _)| key.len() + name.len()).sum::<usize>();
            if depth >= DEEPEST || self.seen > MOST_SEEN || self.letters > MOST_LETTERS {
                return Err("its containers lie deeper in each other than those of any weights, or in a circle".into());
            }
            let below = |key: String| if name.is_empty() { key } else { format!("{name}.{key}") };
            self.open.extend(inner.into_iter().rev().map(|(key, id)| (id, below(key), depth + 1)));
        }
        Ok(None)
    }

    /// A key as part of a name.
    fn key(&self, key: Id) -> Option<String> {
        match self.heap.get(key) {
            Node::Text(text) => Some(text.clone()),
            Node::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn class_of(&self, tensor: &Rebuilt) -> &'a str {
        match self.heap.get(tensor.storage) {
            Node::Storage(storage) => self.heap.global(storage.class).unwrap_or_default(),
            _ => "",
        }
    }
}

/// A tensor with its place in the file.
fn placed(heap: &Heap, tensor: &Rebuilt, element: Element, name: String, storages: &HashMap<&str, Stored>) -> Result<Listed, String> {
    let Node::Storage(storage) = heap.get(tensor.storage) else { return Err(format!("the tensor `{name}` has no storage")) };
    let key = heap.text(storage.key).unwrap_or_default();
    let stored =
        storages.get(key).ok_or_else(|| format!("the tensor `{name}` lies in the storage `{key}`, which the file does not have"))?;
    let short = || {
        let promised = storage.elements.saturating_mul(element.bytes());
        format!("the storage `{key}` of `{name}` has {} bytes and is said to have {promised}", stored.bytes)
    };
    let bytes = storage.elements.checked_mul(element.bytes()).filter(|bytes| *bytes <= stored.bytes).ok_or_else(short)?;
    let (first, count) = storage.view.unwrap_or((0, storage.elements));
    if first.checked_add(count).is_none_or(|end| end > storage.elements) {
        return Err(short());
    }
    let outside = || format!("the tensor `{name}` reaches beyond its storage `{key}` of {} elements", storage.elements);
    let last = last_element(tensor).filter(|last| *last <= count).ok_or_else(outside)?;
    if last > 0 && bytes < last * element.bytes() {
        return Err(outside());
    }
    let sizes = tensor.shape.iter().map(|size| usize::try_from(*size).ok()).collect::<Option<Vec<_>>>().ok_or_else(outside)?;
    sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size)).ok_or_else(outside)?;
    let place = Place { at: stored.at + first * element.bytes(), offset: tensor.offset, strides: tensor.strides.clone() };
    Ok(Listed { name, element, shape: sizes, place })
}

/// One past the last element of a storage that a tensor reads; zero for a tensor without elements.
fn last_element(tensor: &Rebuilt) -> Option<u64> {
    if tensor.shape.contains(&0) {
        return Some(0);
    }
    let steps = tensor.shape.iter().zip(&tensor.strides);
    steps.map(|(size, stride)| (size - 1).checked_mul(*stride)).try_fold(tensor.offset.checked_add(1)?, |sum, step| sum.checked_add(step?))
}
