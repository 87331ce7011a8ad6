//! A state as a safetensors file, written and read one tensor at a time, since a state may be most of what memory holds. All that is no
//! tensor stands as JSON in the file's metadata, under one name, because the
//! order of several is not fixed. A hash over the whole file stands there too; the digits of the hash themselves count as zeros.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{Error, Read as _, Result as Io, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use safetensors::tensor::{Metadata, View};
use safetensors::{Dtype, SafeTensorError, serialize_to_file};
use segc_lang::spec::ParamValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::record::Identity;
use crate::record::identity::hex;
use crate::train::log::{Record, Window};
use crate::train::state::{Best, Place, State, Tensor};

/// Name of the metadata.
const NAME: &str = "segc";

/// What stands before the hash in the file: the metadata is a text inside JSON, so its quotes are escaped.
const BEFORE_HASH: &[u8] = br#"{\"sha256\":\""#;

/// Digits of the hash.
const DIGITS: usize = 64;

/// Bytes that are hashed at a time.
const PIECE: usize = 1 << 20;

/// A state with what is said of its run.
pub(super) struct Read {
    pub state: State,
    /// Whether a stop made it.
    pub passing: bool,
    /// What [`Identity::differences`] reads.
    pub about: Value,
}

#[derive(Serialize)]
struct About<'a> {
    // First, so that its place is known.
    sha256: String,
    segc: &'a str,
    identity: String,
    spec: Spec<'a>,
    #[serde(serialize_with = "crate::record::ordered::serialize")]
    params: Vec<(String, ParamValue)>,
    seed: u64,
    #[serde(serialize_with = "crate::record::ordered::serialize", skip_serializing_if = "Vec::is_empty")]
    weights: Vec<(String, String)>,
    device: &'a str,
    position: Position,
}

#[derive(Serialize)]
struct Spec<'a> {
    name: &'a str,
    hash: String,
}

#[derive(Deserialize)]
struct Described {
    position: Position,
}

/// All of a state but its tensors, of which it has the names and sizes.
#[derive(Serialize, Deserialize)]
struct Position {
    passing: bool,
    place: Place,
    cursors: BTreeMap<String, u64>,
    starts: BTreeMap<String, u32>,
    elapsed: [f32; 3],
    best: Option<Best>,
    window: Window,
    records: Vec<Record>,
    tensors: BTreeMap<String, Vec<usize>>,
}

/// Writes a state without models that are `given` by files to a path; `passing`: a stop asked for it.
pub(super) fn write(state: &State, identity: &Identity, given: &[String], passing: bool, path: &Path) -> Io<()> {
    let position = Position {
        passing,
        place: state.place,
        cursors: state.cursors.clone(),
        starts: state.starts.clone(),
        elapsed: state.elapsed,
        best: state.best,
        window: state.window.clone(),
        records: state.records.clone(),
        tensors: state.to_keep(given).map(|(name, tensor)| (name.to_owned(), tensor.shape.clone())).collect(),
    };
    let about = About {
        sha256: "0".repeat(DIGITS),
        segc: crate::VERSION,
        identity: identity.hash(),
        spec: Spec { name: &identity.name, hash: identity.spec_hash() },
        params: identity.param_values(),
        seed: identity.seed,
        weights: identity.weights.clone(),
        device: &identity.device,
        position,
    };
    let metadata = HashMap::from([(NAME.to_owned(), serde_json::to_string(&about)?)]);
    let views = state.to_keep(given).map(|(name, tensor)| (name, Stored(tensor)));
    serialize_to_file(views, Some(metadata), path).map_err(|why| match why {
        SafeTensorError::IoError(cause) => cause,
        other => Error::other(other),
    })?;
    seal(path)
}

/// A tensor whose bytes are made when they are written.
struct Stored<'a>(&'a Tensor);

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        4 * self.0.values.len()
    }
}

/// Puts the hash where it belongs. Errors: of the disk; a file that has no place for it.
pub(super) fn seal(path: &Path) -> Io<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let place = header(&mut file)?.and_then(|header| hash_place(&header).ok_or_else(|| "the hash has no place".into()));
    let place = place.map_err(Error::other)?;
    let digits = hash(&mut file, &place)?;
    file.seek(SeekFrom::Start(place.start as u64))?;
    file.write_all(digits.as_bytes())
}

/// The state in a file. Errors: of the disk; inside, what is wrong with the file.
pub(super) fn read(path: &Path) -> Io<Result<Read, String>> {
    let mut file = File::open(path)?;
    let opened = header(&mut file)?.and_then(|header| {
        let metadata: Metadata = serde_json::from_slice(&header[8..]).map_err(|why| format!("its header cannot be read ({why})"))?;
        Ok((header, metadata))
    });
    let (header, metadata) = match opened {
        Ok(opened) => opened,
        Err(why) => return Ok(Err(why)),
    };
    let length = file.metadata()?.len();
    if (metadata.data_len() as u64).checked_add(header.len() as u64) != Some(length) {
        return Ok(Err(cut_off(length)));
    }
    let Some(place) = hash_place(&header) else { return Ok(Err("it has no hash".into())) };
    if header[place.clone()] != *hash(&mut file, &place)?.as_bytes() {
        return Ok(Err("its bytes are not those that were written: the hash differs".into()));
    }
    let (about, position) = match described(&metadata) {
        Ok(described) => described,
        Err(why) => return Ok(Err(why)),
    };
    let passing = position.passing;
    let state = position.state(&metadata, &mut file, header.len())?;
    Ok(state.map(|state| Read { passing, state, about }))
}

/// What a file says of itself: all of it, and the part that is read.
fn described(metadata: &Metadata) -> Result<(Value, Position), String> {
    let text = metadata.metadata().as_ref().and_then(|all| all.get(NAME)).ok_or("it does not say what it is of")?;
    let about: Value = serde_json::from_str(text).map_err(|why| format!("its description cannot be read ({why})"))?;
    // Read from the text itself, in which lists of names keep their order.
    let Described { position } = serde_json::from_str(text).map_err(|why| format!("its description is of another kind ({why})"))?;
    Ok((about, position))
}

fn cut_off(length: u64) -> String {
    format!("it was cut off: it has {length} bytes, and its header says otherwise")
}

/// What stands before the tensors: eight bytes of its length, then JSON. Errors: of the disk; inside, that the file is too short.
fn header(file: &mut File) -> Io<Result<Vec<u8>, String>> {
    let length = file.metadata()?.len();
    let mut digits = [0; 8];
    file.seek(SeekFrom::Start(0))?;
    if length < 8 {
        return Ok(Err(cut_off(length)));
    }
    file.read_exact(&mut digits)?;
    let rest = u64::from_le_bytes(digits);
    if rest > length - 8 {
        return Ok(Err(cut_off(length)));
    }
    let mut header = digits.to_vec();
    file.take(rest).read_to_end(&mut header)?;
    Ok(Ok(header))
}

impl Position {
    /// The state, whose tensors begin at a byte of a file. Errors: of the disk; inside, tensors missing, too many or of other sizes.
    fn state(self, metadata: &Metadata, file: &mut File, start: usize) -> Io<Result<State, String>> {
        let mut state = State::default();
        (state.place, state.elapsed, state.best) = (self.place, self.elapsed, self.best);
        (state.cursors, state.starts) = (self.cursors, self.starts);
        (state.window, state.records) = (self.window, self.records);
        if let Some(extra) = metadata.offset_keys().into_iter().filter(|name| !self.tensors.contains_key(name)).min() {
            return Ok(Err(format!("it has a tensor too many, `{extra}`")));
        }
        for (name, shape) in self.tensors {
            let Some(info) = metadata.info(&name) else { return Ok(Err(format!("the tensor `{name}` is missing"))) };
            if info.shape != shape || info.dtype != Dtype::F32 {
                return Ok(Err(format!("the tensor `{name}` is {:?} of {:?}, not {shape:?} of F32", info.shape, info.dtype)));
            }
            let (from, to) = info.data_offsets;
            let mut bytes = vec![0; to - from];
            file.seek(SeekFrom::Start((start + from) as u64))?;
            file.read_exact(&mut bytes)?;
            let values = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            state.set(name, Tensor { shape, values });
        }
        Ok(Ok(state))
    }
}

/// Where the digits of the hash stand, in the header or a whole file.
fn hash_place(file: &[u8]) -> Option<Range<usize>> {
    let at = file.windows(BEFORE_HASH.len()).position(|window| window == BEFORE_HASH)? + BEFORE_HASH.len();
    (at + DIGITS <= file.len()).then_some(at..at + DIGITS)
}

/// The hash of a file in which zeros stand at a place.
fn hash(file: &mut File, place: &Range<usize>) -> Io<String> {
    let mut hash = Sha256::new();
    let (mut piece, mut at) = (vec![0; PIECE], 0);
    file.seek(SeekFrom::Start(0))?;
    loop {
        let count = match file.read(&mut piece) {
            Ok(count) => count,
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause),
        };
        if count == 0 {
            return Ok(hex(&hash.finalize()));
        }
        let inside = |byte: usize| byte.clamp(at, at + count) - at;
        piece[inside(place.start)..inside(place.end)].fill(b'0');
        hash.update(&piece[..count]);
        at += count;
    }
}
