//! Files of weights that others trained: safetensors, and checkpoints of PyTorch in both containers, read without Python and without
//! executing anything; and models that begin with them through a map of names.
//!
//! Opening a file reads its header or pickle only; a tensor is read when somebody asks for it. Every length that a file says is held
//! against the file before memory is taken for it.

mod assign;
mod convert;
mod elements;
mod legacy;
mod pickle;
mod safe;
#[cfg(test)]
mod tests;
mod torch;
mod zipped;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::outcome::RunError;
use crate::record::identity::hex;

pub use assign::{Examined, examine, of_files};
pub(crate) use assign::{Wanted, first_values};
pub use convert::{Converted, convert};
pub use elements::Element;

/// Bytes that are read at once: a multiple of every element.
const PART: usize = 1 << 16;

/// Largest pickle that is read, bytes; those of the largest models with their optimisers have a few millions.
const MOST_PICKLED: u64 = 64 << 20;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// PyTorch since 1.6.
    Zip,
    /// PyTorch before 1.6.
    Legacy,
}

impl Format {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Zip => "PyTorch, zip container",
            Format::Legacy => "PyTorch, container before 1.6",
        }
    }
}

/// A tensor of a file, whose elements are still there.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name: keys of nested dictionaries with dots between them.
    pub name: String,
    /// Its elements.
    pub element: Element,
    /// Sizes of its axes, as the file lays them out.
    pub shape: Vec<usize>,
    place: Place,
}

impl Listed {
    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|size| *size as u64).product()
    }

    /// How many bytes its elements take.
    pub fn bytes(&self) -> u64 {
        self.elements().saturating_mul(self.element.bytes())
    }
}

/// Where the elements of a tensor lie in a file.
#[derive(Clone, Debug)]
struct Place {
    /// First byte of its storage.
    at: u64,
    /// First element in the storage.
    offset: u64,
    /// Elements from one place of each axis to the next.
    strides: Vec<u64>,
}

/// Something in a file that is no tensor that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// Its class, or its elements.
    pub what: String,
}

/// A file of weights.
#[derive(Clone, Debug)]
pub struct Weights {
    path: PathBuf,
    /// What kind of file it is.
    pub format: Format,
    /// Its tensors in its own order.
    pub tensors: Vec<Listed>,
    /// What else has a name in it: objects of classes that are not known here, tensors of unusual elements.
    pub others: Vec<Other>,
    /// Bytes of the file.
    pub length: u64,
}

impl Weights {
    /// Opens a file and lists what it holds.
    ///
    /// # Errors
    /// Why it cannot be used, in words that follow its name.
    pub fn open(path: &Path) -> Result<Weights, String> {
        let about = std::fs::metadata(path).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => absent(path),
            _ => failed(cause),
        })?;
        if !about.is_file() {
            return Err(if about.is_dir() { "is a folder; name the file in it".into() } else { "is no ordinary file".into() });
        }
        let length = about.len();
        let mut file = File::open(path).map_err(failed)?;
        let mut head = Vec::new();
        file.by_ref().take(64).read_to_end(&mut head).map_err(failed)?;
        let format = format(&head)?;
        let read = match format {
            Format::Safetensors => safe::read(&mut file, length),
            Format::Zip => zipped::read(&mut file, length),
            Format::Legacy => legacy::read(&mut file, length),
        };
        let (tensors, others) = read.map_err(|why| format!("cannot be used: {why}"))?;
        Ok(Weights { path: path.into(), format, tensors, others, length })
    }

    /// The elements of a tensor as bytes, the last axis contiguous. Errors: why they cannot be read, in words that follow the file's name.
    pub fn bytes(&self, tensor: &Listed) -> Result<Vec<u8>, String> {
        let size = tensor.element.bytes();
        if tensor.shape.contains(&0) {
            return Ok(Vec::new());
        }
        let Place { at, offset, strides } = &tensor.place;
        let span = 1 + tensor.shape.iter().zip(strides).map(|(size, stride)| (*size as u64 - 1) * stride).sum::<u64>();
        let mut bytes = vec![0; (span * size) as usize];
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(at + offset * size)).and_then(|_| file.read_exact(&mut bytes)).map_err(failed)?;
        Ok(if *strides == safe::row_major(&tensor.shape) { bytes } else { gathered(&bytes, tensor) })
    }

    /// The elements of a tensor of real numbers in single precision, the last axis contiguous; none of other elements. They are read in
    /// small parts, so that a large file takes no more memory than its values. Errors: as for [`Weights::bytes`].
    pub fn reals(&self, tensor: &Listed) -> Result<Vec<f32>, String> {
        let Place { at, offset, strides } = &tensor.place;
        if !tensor.element.is_real() || tensor.shape.contains(&0) || *strides != safe::row_major(&tensor.shape) {
            return Ok(tensor.element.reals(&self.bytes(tensor)?).unwrap_or_default());
        }
        let size = tensor.element.bytes();
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(at + offset * size)).map_err(failed)?;
        let mut values = Vec::with_capacity(tensor.elements() as usize);
        let mut part = vec![0; PART];
        let mut left = tensor.bytes();
        while left > 0 {
            let part = &mut part[..left.min(PART as u64) as usize];
            file.read_exact(part).map_err(failed)?;
            values.extend(tensor.element.reals(part).unwrap_or_default());
            left -= part.len() as u64;
        }
        Ok(values)
    }

    /// SHA-256 of the whole file, in hexadecimal. Errors: why it cannot be read, in words that follow its name.
    pub fn hash(&self) -> Result<String, String> {
        let mut file = File::open(&self.path).map_err(failed)?;
        let (mut hash, mut part) = (Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut part).map_err(failed)? {
                0 => return Ok(hex(&hash.finalize())),
                count => hash.update(&part[..count]),
            }
        }
    }
}

/// Opens a file for a command that was given its name.
///
/// # Errors
/// [`RunError::Data`] with the file's name and why it cannot be used.
pub fn open(path: &Path) -> Result<Weights, RunError> {
    Weights::open(path).map_err(|why| RunError::Data(format!("{} {why}", path.display())))
}

fn format(head: &[u8]) -> Result<Format, String> {
    let other = |what: &str| Err(format!("cannot be used: it is {what}, neither safetensors nor a PyTorch checkpoint"));
    match head {
        [] => other("empty"),
        head if zipped::begins(head) => Ok(Format::Zip),
        head if legacy::begins(head) => Ok(Format::Legacy),
        head if safe::begins(head) => Ok(Format::Safetensors),
        head if head.starts_with(b"version https://git-lfs") => other("a pointer of Git LFS (`git lfs pull` fetches the file)"),
        head if head.starts_with(b"\x89HDF") => other("a file of HDF5"),
        head if head.trim_ascii_start().starts_with(b"<") => other("a web page"),
        [0x80, 0..=5, ..] => other("a pickle of something else"),
        _ => other("of an unknown kind"),
    }
}

/// Elements of a view in the order of its axes.
fn gathered(bytes: &[u8], tensor: &Listed) -> Vec<u8> {
    let size = tensor.element.bytes() as usize;
    let mut places = vec![0usize];
    for (count, stride) in tensor.shape.iter().zip(&tensor.place.strides) {
        places = places.iter().flat_map(|place| (0..*count).map(move |step| place + step * *stride as usize)).collect();
    }
    places.iter().flat_map(|place| &bytes[place * size..(place + 1) * size]).copied().collect()
}

fn absent(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return format!("does not exist, and neither does the folder {}", folder.display());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let near = segc_lang::nearest::nearest(&name, names.iter().map(String::as_str));
    near.map_or("does not exist".into(), |near| format!("does not exist; did you mean `{}`?", path.with_file_name(near).display()))
}

fn failed(cause: std::io::Error) -> String {
    format!("cannot be read: {cause}")
}
