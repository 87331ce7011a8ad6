//! Cases as they are stored: a list in json beside tensors in safetensors.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::Value;

/// A tensor in f64; truth and integers are exact.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

/// Derivatives of the sum of squared derivatives.
#[derive(Clone, Debug)]
pub struct Second {
    pub wrt: Vec<String>,
    pub s: Array,
    pub grads: BTreeMap<String, Array>,
    pub cotangents: BTreeMap<String, Array>,
    /// Name in the tolerances.
    pub name: &'static str,
}

/// How near is near enough: relative to the largest magnitude of a tensor, and absolute.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Bound {
    pub rtol: f64,
    pub atol: f64,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    pub id: String,
    pub op: String,
    pub attrs: BTreeMap<String, Value>,
    pub inputs: BTreeMap<String, Array>,
    pub outputs: BTreeMap<String, Array>,
    pub cotangents: BTreeMap<String, Array>,
    pub grads: BTreeMap<String, Array>,
    pub second: Vec<Second>,
    bound: Bound,
    loose: BTreeMap<String, Bound>,
    /// Names of tensors as stored, for the tolerances.
    stored: BTreeMap<String, String>,
}

impl Case {
    /// The bound of a tensor by its path: `out/y`, `grad/x`, `second_order/s`.
    pub fn bound(&self, path: &str) -> Bound {
        let stored = self.stored.get(path).map_or("", String::as_str);
        self.loose.get(stored).or_else(|| self.loose.get(path)).copied().unwrap_or(self.bound)
    }
}

#[derive(Deserialize)]
struct Line {
    id: String,
    op: String,
    #[serde(default)]
    attrs: BTreeMap<String, Value>,
    #[serde(default)]
    inputs: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
    #[serde(default)]
    cotangent: BTreeMap<String, String>,
    #[serde(default)]
    grads: BTreeMap<String, String>,
    second_order: Option<SecondLine>,
    second_order_all: Option<SecondLine>,
    tolerance: Tolerance,
}

#[derive(Deserialize)]
struct SecondLine {
    wrt: Vec<String>,
    s: String,
    grads: BTreeMap<String, String>,
    #[serde(default)]
    cotangent_grads: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Tolerance {
    #[serde(flatten)]
    bound: Bound,
    #[serde(default)]
    loose: BTreeMap<String, Bound>,
}

/// The cases of a group. Errors say which file or tensor is wrong.
pub fn read(folder: &Path, group: &str) -> Result<Vec<Case>, String> {
    let open = |kind: &str| {
        let path = folder.join(format!("{group}.{kind}"));
        std::fs::read(&path).map_err(|why| format!("{}: {why}", path.display()))
    };
    let lines: Vec<Line> = serde_json::from_slice(&open("json")?).map_err(|why| format!("{group}.json: {why}"))?;
    let bytes = open("safetensors")?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|why| format!("{group}.safetensors: {why}"))?;
    lines.into_iter().map(|line| case(line, &tensors)).collect()
}

fn case(line: Line, tensors: &SafeTensors) -> Result<Case, String> {
    let mut stored = BTreeMap::new();
    let mut all = |kind: &str, names: &BTreeMap<String, String>| -> Result<BTreeMap<String, Array>, String> {
        let one = |(name, tensor): (&String, &String)| {
            stored.insert(format!("{kind}/{name}"), tensor.clone());
            Ok((name.clone(), array(tensors, tensor)?))
        };
        names.iter().map(one).collect()
    };
    let (inputs, outputs) = (all("in", &line.inputs)?, all("out", &line.outputs)?);
    let (cotangents, grads) = (all("ct", &line.cotangent)?, all("grad", &line.grads)?);
    let mut second = Vec::new();
    for (name, part) in [("second_order", line.second_order), ("second_order_all", line.second_order_all)] {
        let Some(part) = part else { continue };
        let grads = all(&format!("{name}/grad"), &part.grads)?;
        let cotangents = all(&format!("{name}/ct"), &part.cotangent_grads)?;
        let s = all(name, &BTreeMap::from([("s".to_string(), part.s.clone())]))?.remove("s").unwrap();
        second.push(Second { wrt: part.wrt, s, grads, cotangents, name });
    }
    let Tolerance { bound, loose } = line.tolerance;
    Ok(Case { id: line.id, op: line.op, attrs: line.attrs, inputs, outputs, cotangents, grads, second, bound, loose, stored })
}

fn array(tensors: &SafeTensors, name: &str) -> Result<Array, String> {
    let tensor = tensors.tensor(name).map_err(|why| format!("{name}: {why}"))?;
    let bytes = tensor.data();
    let data = match tensor.dtype() {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
        Dtype::I64 => bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
        other => return Err(format!("{name}: elements of kind {other:?}")),
    };
    Ok(Array { shape: tensor.shape().to_vec(), data })
}
