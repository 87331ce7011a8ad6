//! The files of MNIST: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two of `t10k`, plain or gzipped.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The files of a folder, for messages.
pub const FILES: &str =
    "`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, plain or gzipped";
/// Most bytes that a file may unpack to: ten times those of MNIST.
const LARGEST: u64 = 470 << 20;

/// A digit and which one it is.
#[derive(Clone, Debug)]
pub struct Digit {
    /// 0 to 9.
    pub class: u8,
    width: usize,
    height: usize,
    ink: Vec<u8>,
}

impl Digit {
    /// Whether there is ink at a place of the digit at `side` x `side` pixels: more than one half at the nearest pixel.
    pub fn at(&self, x: usize, y: usize, side: usize) -> bool {
        let pixel = (y * self.height / side) * self.width + x * self.width / side;
        self.ink.get(pixel).is_some_and(|ink| *ink > 127)
    }
}

/// The digits of a set, `train` or `t10k`. The error says in words which file is missing or wrong, and what was found.
pub fn read(folder: &Path, set: &str) -> Result<Vec<Digit>, String> {
    let (images, labels) = (format!("{set}-images-idx3-ubyte"), format!("{set}-labels-idx1-ubyte"));
    let (sizes, ink) = idx::<3>(folder, &images)?;
    let ([classes], labelled) = idx::<1>(folder, &labels)?;
    let [count, height, width] = sizes;
    if classes != count {
        return Err(format!("`{labels}` has {classes} labels, `{images}` {count} digits; take both from one set"));
    }
    let digits = ink.chunks_exact((height * width).max(1)).zip(labelled);
    Ok(digits.map(|(ink, class)| Digit { class, width, height, ink: ink.to_vec() }).collect())
}

/// Sizes and bytes of an idx file of bytes with so many axes.
fn idx<const AXES: usize>(folder: &Path, name: &str) -> Result<([usize; AXES], Vec<u8>), String> {
    let (shown, bytes) = bytes(folder, name)?;
    let expected = [0, 0, 8, AXES as u8];
    let (head, rest) = bytes.split_at_checked(4 + 4 * AXES).ok_or_else(|| wrong_head(&shown, &bytes, expected))?;
    if head[..4] != expected {
        return Err(wrong_head(&shown, &bytes, expected));
    }
    let size = |axis: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| head[4 + 4 * axis + byte])) as usize;
    let sizes: [usize; AXES] = std::array::from_fn(size);
    let promised = sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    if promised != Some(rest.len()) {
        let promised = promised.map_or_else(|| "more".to_string(), |promised| promised.to_string());
        return Err(format!("`{shown}` promises {promised} bytes behind its head and has {}; copy it again", rest.len()));
    }
    Ok((sizes, rest.to_vec()))
}

fn wrong_head(shown: &str, bytes: &[u8], expected: [u8; 4]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let axes = if expected[3] == 1 { "1 axis".to_string() } else { format!("{} axes", expected[3]) };
    let found = hex(&bytes[..bytes.len().min(4)]);
    format!("`{shown}` begins with {found}, an idx file of bytes with {axes} with {}", hex(&expected))
}

/// The name of the file that is there and its bytes, unpacked.
fn bytes(folder: &Path, name: &str) -> Result<(String, Vec<u8>), String> {
    let zipped = format!("{name}.gz");
    let (path, packed) = match [folder.join(name), folder.join(&zipped)] {
        [plain, _] if plain.is_file() => (plain, false),
        [_, packed] if packed.is_file() => (packed, true),
        _ => return Err(absent(folder, name, &zipped)),
    };
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| format!("`{shown}` cannot be read: {error}");
    let file = File::open(&path).map_err(failed)?;
    let mut bytes = Vec::new();
    let read = match packed {
        true => flate2::read::GzDecoder::new(file).take(LARGEST).read_to_end(&mut bytes),
        false => file.take(LARGEST).read_to_end(&mut bytes),
    };
    read.map_err(failed)?;
    Ok((shown, bytes))
}

fn absent(folder: &Path, name: &str, zipped: &str) -> String {
    let shown = folder.display();
    let Ok(entries) = std::fs::read_dir(folder) else { return format!("there is no folder `{shown}` with the MNIST files {FILES}") };
    let mut names: Vec<String> = entries.flatten().map(|entry| format!("`{}`", entry.file_name().to_string_lossy())).collect();
    names.sort();
    let found = match names.len() {
        0 => "it is empty".to_string(),
        1..=4 => format!("it holds {}", names.join(", ")),
        count => format!("it holds {}, .. ({count} in all)", names[..4].join(", ")),
    };
    format!("the folder `{shown}` has no `{name}` and no `{zipped}`: {found}")
}
