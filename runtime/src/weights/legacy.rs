//! Checkpoints of PyTorch before 1.6: pickles one behind the other (a magic number, the protocol 1001, the system, the object, the keys
//! of the storages), then the storages in the order of the keys, each with its number of elements before it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::elements::Element;
use super::pickle::{self, Made, Node, Trouble};
use super::torch::{self, Stored};
use super::{Listed, MOST_PICKLED, Other, failed};

/// The protocol of the container.
const PROTOCOL: u64 = 1001;
/// So many bytes are looked at first; the pickles of most files end in them.
const FIRST_LOOK: u64 = 4 << 20;

/// Whether a file may be one of these, by its first bytes.
pub fn begins(head: &[u8]) -> bool {
    let digits = pickle::opcodes::MAGIC;
    head.windows(digits.len()).any(|window| window == digits) || head.starts_with(b"L119547037146038801333356")
}

/// The tensors of a file of some length, and what lies beside them. Errors: what is wrong, in words.
pub fn read(file: &mut File, length: u64) -> Result<(Vec<Listed>, Vec<Other>), String> {
    for most in [FIRST_LOOK, MOST_PICKLED] {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        file.take(most).read_to_end(&mut bytes).map_err(failed)?;
        match pickles(&bytes) {
            Ok(found) => return found.tensors(file, length),
            Err(Trouble::CutOff) if most < length => {}
            Err(Trouble::CutOff) => return Err("it was cut off: its pickles go on behind its end".into()),
            Err(Trouble::Refused(why)) => return Err(why),
        }
    }
    Err(format!("its pickles are larger than {} MiB, which those of no weights are", MOST_PICKLED >> 20))
}

/// The pickles of a file.
struct Pickles {
    object: Made,
    keys: Vec<String>,
    /// Where the storages begin.
    end: usize,
}

fn pickles(bytes: &[u8]) -> Result<Pickles, Trouble> {
    let mut at = 0;
    let mut next = || {
        let made = pickle::run(&bytes[at..])?;
        at += made.length;
        Ok(made)
    };
    let (magic, protocol, system) = (next()?, next()?, next()?);
    let (object, keys) = (next()?, next()?);
    let refused = |why: &str| Err(Trouble::Refused(why.into()));
    if *magic.heap.get(magic.root) != Node::Magic || protocol.heap.count(protocol.root) != Some(PROTOCOL) {
        return refused("it is a pickle, but none that `torch.save` wrote");
    }
    if is_big_endian(&system) {
        return refused("it was written on a machine with the highest byte first");
    }
    let Some(items) = keys.heap.items(keys.root) else { return refused("it has no list of its storages") };
    let texts = items.iter().map(|item| keys.heap.text(*item).map(str::to_string)).collect::<Option<Vec<_>>>();
    let Some(texts) = texts else { return refused("its list of storages holds something else than keys") };
    Ok(Pickles { object, keys: texts, end: at })
}

fn is_big_endian(system: &Made) -> bool {
    let Node::Dict(pairs) = system.heap.get(system.root) else { return false };
    let said = |id| system.heap.text(id) == Some("little_endian");
    pairs.iter().any(|(key, value)| said(*key) && *system.heap.get(*value) == Node::Bool(false))
}

impl Pickles {
    fn tensors(&self, file: &mut File, length: u64) -> Result<(Vec<Listed>, Vec<Other>), String> {
        let sizes = self.element_sizes();
        let mut storages: HashMap<&str, Stored> = HashMap::new();
        let mut at = self.end as u64;
        for key in &self.keys {
            let size = *sizes.get(key.as_str()).ok_or_else(|| format!("the storage `{key}` has a kind that is not known here"))?;
            let mut count = [0; 8];
            file.seek(SeekFrom::Start(at)).map_err(failed)?;
            file.read_exact(&mut count).map_err(|_| format!("it was cut off before the storage `{key}`"))?;
            let bytes = u64::from_le_bytes(count).checked_mul(size);
            let bytes = bytes.filter(|bytes| at.checked_add(8 + bytes).is_some_and(|end| end <= length));
            let bytes = bytes.ok_or_else(|| format!("it was cut off: the storage `{key}` goes on behind its end"))?;
            storages.insert(key, Stored { at: at + 8, bytes });
            at += 8 + bytes;
        }
        torch::listed(&self.object, &storages)
    }

    /// Bytes of an element of each storage.
    fn element_sizes(&self) -> HashMap<&str, u64> {
        let heap = &self.object.heap;
        let storages = heap.iter().filter_map(|node| if let Node::Storage(storage) = node { Some(storage) } else { None });
        let sized = storages.filter_map(|storage| Some((heap.text(storage.key)?, bytes_of(heap.global(storage.class)?)?)));
        sized.collect()
    }
}

/// Bytes of an element of a storage, also of kinds that are passed over.
fn bytes_of(class: &str) -> Option<u64> {
    match class.rsplit('.').next()? {
        "ComplexDoubleStorage" => Some(16),
        "ComplexFloatStorage" => Some(8),
        "QInt32Storage" => Some(4),
        "QInt8Storage" | "QUInt8Storage" => Some(1),
        _ => Element::of_class(class).map(Element::bytes),
    }
}
