//! Cases as they are stored: for each group a list in JSON beside tensors in safetensors.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::Value;

/// A tensor in f64; truth and integers are exact.
#[derive(Clone, Debug)]
pub struct Array {
    /// Sizes, the last axis contiguous.
    pub shape: Vec<usize>,
    /// As many elements as the sizes say.
    pub data: Vec<f64>,
}

/// Derivatives of the sum of squared derivatives.
#[derive(Clone, Debug)]
pub struct Second {
    /// The inputs whose derivatives are squared.
    pub wrt: Vec<String>,
    /// The sum.
    pub s: Array,
    /// Its derivatives by inputs.
    pub grads: BTreeMap<String, Array>,
    /// Its derivatives by what the results are weighted with.
    pub cotangents: BTreeMap<String, Array>,
    /// Name in the tolerances.
    pub name: &'static str,
}

/// How near is near enough: relative to the largest magnitude of a tensor, and absolute.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Bound {
    /// In parts of the largest magnitude.
    pub rtol: f64,
    /// In any case.
    pub atol: f64,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, which no other case has.
    pub id: String,
    /// The op, as its group calls it.
    pub op: String,
    /// Attributes of the op.
    pub attrs: BTreeMap<String, Value>,
    /// Inputs by name.
    pub inputs: BTreeMap<String, Array>,
    /// Results by name.
    pub outputs: BTreeMap<String, Array>,
    /// What each result is weighted with in the sum that is differentiated.
    pub cotangents: BTreeMap<String, Array>,
    /// Derivatives of that sum by inputs.
    pub grads: BTreeMap<String, Array>,
    /// Derivatives of sums of squared derivatives.
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

/// The cases of a group: `FOLDER/GROUP.json` and `FOLDER/GROUP.safetensors`. Errors say which file or tensor is wrong.
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
        let s = all(name, &BTreeMap::from([("s".to_string(), part.s.clone())]))?.remove("s").ok_or("the sum has no name")?;
        second.push(Second { wrt: part.wrt, s, grads, cotangents, name });
    }
    let Tolerance { bound, loose } = line.tolerance;
    Ok(Case { id: line.id, op: line.op, attrs: line.attrs, inputs, outputs, cotangents, grads, second, bound, loose, stored })
}

fn array(tensors: &SafeTensors, name: &str) -> Result<Array, String> {
    let tensor = tensors.tensor(name).map_err(|why| format!("{name}: {why}"))?;
    let bytes = tensor.data();
    let data = match tensor.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        Dtype::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        other => return Err(format!("{name}: elements of kind {other:?}")),
    };
    Ok(Array { shape: tensor.shape().to_vec(), data })
}
