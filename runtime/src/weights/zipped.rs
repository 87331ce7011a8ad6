//! Checkpoints of PyTorch since 1.6: a zip archive with `NAME/data.pkl` and a file for each storage, `NAME/data/KEY`, all as they are.
//! Nothing is unpacked, so a small file cannot become a large one, and names lead nowhere.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use zip::{CompressionMethod, ZipArchive};

use super::pickle::{self, Trouble};
use super::torch::{self, Stored};
use super::{Listed, MOST_PICKLED, Other, failed};

/// Name of the pickle in the archive.
const PICKLE: &str = "data.pkl";
/// Most files of an archive.
const MOST_FILES: usize = 1 << 18;

/// Whether a file may be one of these, by its first bytes.
pub fn begins(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04")
}

/// The tensors of a file of some length, and what lies beside them. Errors: what is wrong, in words.
pub fn read(file: &mut File, length: u64) -> Result<(Vec<Listed>, Vec<Other>), String> {
    let entries = entries(file, length)?;
    let roots: Vec<&str> = entries.keys().filter_map(|name| name.strip_suffix(PICKLE)).filter(|root| is_root(root)).collect();
    let root = match roots.as_slice() {
        [root] => (*root).to_string(),
        [] => return Err(format!("it is a zip archive without `{PICKLE}`, so none that `torch.save` wrote")),
        _ => return Err(format!("it is a zip archive with several `{PICKLE}`")),
    };
    if entries.contains_key(&format!("{root}constants.pkl")) {
        return Err("it is a program (TorchScript); write `torch.save(torch.jit.load(..).state_dict(), ..)` with PyTorch".into());
    }
    if let Some(order) = entries.get(&format!("{root}byteorder"))
        && content(file, order, 16)?.starts_with(b"big")
    {
        return Err("it was written on a machine with the highest byte first".into());
    }
    let made = pickle::run(&content(file, &entries[&format!("{root}{PICKLE}")], MOST_PICKLED)?).map_err(|trouble| match trouble {
        Trouble::CutOff => format!("its `{PICKLE}` was cut off"),
        Trouble::Refused(why) => why,
    })?;
    let folder = format!("{root}data/");
    let storages = entries.iter().filter_map(|(name, entry)| Some((name.strip_prefix(&folder)?, entry.as_ref().ok()?)));
    let storages: HashMap<&str, Stored> = storages.map(|(key, stored)| (key, *stored)).collect();
    torch::listed(&made, &storages)
}

/// A file of the archive that lies there as it is, or why it cannot be read.
type Entry = Result<Stored, String>;

fn entries(file: &mut File, length: u64) -> Result<HashMap<String, Entry>, String> {
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let damaged = |cause: zip::result::ZipError| format!("its zip archive is damaged or was cut off ({cause})");
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    if archive.len() > MOST_FILES {
        return Err(format!("its zip archive has {} files, more than any weights have", archive.len()));
    }
    let mut found = HashMap::new();
    for number in 0..archive.len() {
        let entry = archive.by_index_raw(number).map_err(damaged)?;
        let name = entry.name().map_err(damaged)?.into_owned();
        if name.starts_with('/') || name.contains('\\') || name.split('/').any(|part| part == "..") {
            return Err(format!("its zip archive has a file `{name}`, whose name leads out of it"));
        }
        let (at, bytes) = (entry.data_start().unwrap_or(u64::MAX), entry.size());
        let plain = entry.compression() == CompressionMethod::Stored && !entry.encrypted() && entry.compressed_size() == bytes;
        let held = at.checked_add(bytes).is_some_and(|end| end <= length);
        let stored = match (plain, held) {
            (true, true) => Ok(Stored { at, bytes }),
            (true, false) => return Err(format!("it was cut off: `{name}` goes on behind its end")),
            (false, _) => Err(format!("`{name}` in it is compressed or encrypted, which `torch.save` never does")),
        };
        if found.insert(name.clone(), stored).is_some() {
            return Err(format!("its zip archive has `{name}` twice"));
        }
    }
    Ok(found)
}

/// `NAME/`, or nothing.
fn is_root(root: &str) -> bool {
    root.is_empty() || (root.ends_with('/') && root.matches('/').count() == 1)
}

fn content(file: &mut File, entry: &Entry, most: u64) -> Result<Vec<u8>, String> {
    let stored = entry.clone()?;
    if stored.bytes > most {
        return Err(format!("its pickle is larger than {} MiB, which that of no weights is", MOST_PICKLED >> 20));
    }
    let mut bytes = vec![0; stored.bytes as usize];
    file.seek(SeekFrom::Start(stored.at)).and_then(|_| file.read_exact(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}
