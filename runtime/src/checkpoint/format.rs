//! A state as the bytes of a safetensors file. All that is no tensor stands as JSON in the file's metadata, under one name, because the
//! order of several is not fixed. A hash over the whole file stands there too; the digits of the hash themselves count as zeros.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
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

/// The bytes of a state without models that are `given` by files; `passing`: a stop asked for them.
pub(super) fn encode(state: &State, identity: &Identity, given: &[String], passing: bool) -> Result<Vec<u8>, String> {
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
    let failed = |why: &dyn std::fmt::Display| format!("the state of training cannot be written: {why}");
    let metadata = HashMap::from([(NAME.to_owned(), serde_json::to_string(&about).map_err(|why| failed(&why))?)]);
    let bytes: Vec<(&str, &Tensor, Vec<u8>)> =
        state.to_keep(given).map(|(name, tensor)| (name, tensor, tensor.values.iter().flat_map(|x| x.to_le_bytes()).collect())).collect();
    let views = bytes.iter().map(|(name, tensor, bytes)| Ok((*name, TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, SafeTensorError>>().map_err(|why| failed(&why))?;
    let mut file = safetensors::serialize(views, Some(metadata)).map_err(|why| failed(&why))?;
    if sealed(&mut file) { Ok(file) } else { Err(failed(&"its hash has no place")) }
}

/// Puts the hash where it belongs; says whether there is such a place.
pub(super) fn sealed(file: &mut [u8]) -> bool {
    let Some(place) = hash_place(file) else { return false };
    let digits = hash(file, &place);
    file[place].copy_from_slice(digits.as_bytes());
    true
}

/// The state in some bytes. Errors: what is wrong with them.
pub(super) fn decode(bytes: &[u8]) -> Result<Read, String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|why| match why {
        SafeTensorError::MetadataIncompleteBuffer | SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            format!("it was cut off: it has {} bytes, and its header says otherwise", bytes.len())
        }
        other => format!("its header cannot be read ({other})"),
    })?;
    let place = hash_place(bytes).ok_or("it has no hash")?;
    if bytes[place.clone()] != *hash(bytes, &place).as_bytes() {
        return Err("its bytes are not those that were written: the hash differs".into());
    }
    let text = metadata.metadata().as_ref().and_then(|all| all.get(NAME)).ok_or("it does not say what it is of")?;
    let about: Value = serde_json::from_str(text).map_err(|why| format!("its description cannot be read ({why})"))?;
    // Read from the text itself, in which lists of names keep their order.
    let Described { position } = serde_json::from_str(text).map_err(|why| format!("its description is of another kind ({why})"))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|why| format!("its tensors cannot be read ({why})"))?;
    Ok(Read { passing: position.passing, state: position.state(&tensors)?, about })
}

impl Position {
    /// The state; tensors that are missing, too many or of other sizes are named.
    fn state(self, tensors: &SafeTensors) -> Result<State, String> {
        let mut state = State::default();
        (state.place, state.elapsed, state.best) = (self.place, self.elapsed, self.best);
        (state.cursors, state.starts) = (self.cursors, self.starts);
        (state.window, state.records) = (self.window, self.records);
        if let Some(extra) = tensors.names().into_iter().filter(|name| !self.tensors.contains_key(*name)).min() {
            return Err(format!("it has a tensor too many, `{extra}`"));
        }
        for (name, shape) in self.tensors {
            let tensor = tensors.tensor(&name).map_err(|_| format!("the tensor `{name}` is missing"))?;
            if tensor.shape() != shape || tensor.dtype() != Dtype::F32 {
                return Err(format!("the tensor `{name}` is {:?} of {:?}, not {shape:?} of F32", tensor.shape(), tensor.dtype()));
            }
            let values = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            state.set(name, Tensor { shape, values });
        }
        Ok(state)
    }
}

/// Where the digits of the hash stand.
fn hash_place(file: &[u8]) -> Option<Range<usize>> {
    let at = file.windows(BEFORE_HASH.len()).position(|window| window == BEFORE_HASH)? + BEFORE_HASH.len();
    (at + DIGITS <= file.len()).then_some(at..at + DIGITS)
}

fn hash(file: &[u8], place: &Range<usize>) -> String {
    let mut hash = Sha256::new();
    hash.update(&file[..place.start]);
    hash.update([b'0'; DIGITS]);
    hash.update(&file[place.end..]);
    hex(&hash.finalize())
}
