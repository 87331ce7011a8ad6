//! What settled models make of samples, kept on disk by the hash of all that it is made of: the graph, the weights, the sample's own
//! values, the program that computes. So it is computed once per image, also for later runs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use segc_compiler::{Graph, Leaf, Request};
use segc_lang::spec::{Spec, TermId};
use sha2::{Digest, Sha256};

use super::pass::Samples;
use super::{Models, Options, Programs};
use crate::execute::graph_hash;
use crate::outcome::RunError;
use crate::record::folder::{self, Care};
use crate::record::identity::hex;

/// Named values of one sample, in the order of the terms.
type Values = Vec<Vec<f32>>;

/// Where the values of some terms are kept.
pub(crate) struct Known {
    folder: PathBuf,
    /// Names and numbers of values of the terms.
    terms: Vec<(String, usize)>,
    /// What all samples share.
    shared: Sha256,
    /// Fields that the terms read, in the order in which the graph does.
    fields: Vec<(usize, String)>,
}

/// Says so to those who back folders up (bford.info/cachedir).
const TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# What segc computed once and would compute again. It may be removed at any time.\n";

/// Name of the tensor that holds the hash of the others.
const HASH: &str = "sha256";

impl Known {
    /// For terms that read nothing but fields of a sample and models that no phase trains; none for others, and where nothing is to be
    /// kept or the folder cannot be made.
    ///
    /// # Errors
    /// What no executor runs, with its place.
    pub fn of(
        spec: &Spec,
        terms: &[(String, TermId)],
        programs: &Programs,
        models: &Models,
        options: &Options,
    ) -> Result<Option<Known>, RunError> {
        let Some(folder) = &options.cache else { return Ok(None) };
        if !programs.members.is_empty() || !programs.means.is_empty() {
            return Ok(None);
        }
        let graph = segc_compiler::build(spec, terms, &Request::default()).map_err(|fault| RunError::Spec(Box::new(fault)))?;
        let mut shared = Sha256::new();
        // Processors with other instructions, and other cards, round differently, too.
        shared.update(format!("{} {:?} {} {:?} {}", crate::VERSION, build(), options.on.machine(), options.on, options.fused));
        shared.update(graph_hash(&graph));
        let Some(fields) = leaves(spec, &graph, models, &mut shared) else { return Ok(None) };
        let terms = terms.iter().map(|(name, id)| (name.clone(), spec.terms.get(*id).ty.axes.iter().map(|(_, size)| size).product()));
        if prepare(folder).is_err() {
            return Ok(None);
        }
        Ok(Some(Known { folder: folder.clone(), terms: terms.collect(), shared, fields }))
    }

    /// What stands for a sample; none if it lacks a field.
    fn key(&self, samples: &Samples) -> Option<String> {
        let mut hash = self.shared.clone();
        for (data, name) in &self.fields {
            let (_, sample) = samples.iter().find(|(number, _)| number == data)?;
            digest(&mut hash, sample.fields.get(name)?);
        }
        Some(hex(&hash.finalize()))
    }

    /// The values that were kept; none if there are none, or not whole.
    fn find(&self, key: &str) -> Option<Values> {
        let bytes = std::fs::read(self.path(key)).ok()?;
        let file = SafeTensors::deserialize(&bytes).ok()?;
        let tensor = |name: &str| Some(file.tensor(name).ok()?.data().to_vec());
        let all: Vec<Vec<u8>> = self.terms.iter().map(|(name, _)| tensor(&named(name))).collect::<Option<_>>()?;
        let sizes = all.iter().zip(&self.terms).all(|(bytes, (_, count))| bytes.len() == 4 * count);
        if !sizes || tensor(HASH)? != hash(&all) {
            return None;
        }
        let values = |bytes: Vec<u8>| bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
        Some(all.into_iter().map(values).collect())
    }

    /// Keeps values. Errors: the disk fails.
    fn keep(&self, key: &str, values: &Values) -> Result<(), RunError> {
        let path = self.path(key);
        folder::make(path.parent().unwrap_or(&self.folder))?;
        let all: Vec<Vec<u8>> = values.iter().map(|values| values.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
        let digest = hash(&all);
        let mut views = HashMap::new();
        for ((name, count), bytes) in self.terms.iter().zip(&all) {
            views.insert(named(name), TensorView::new(Dtype::F32, vec![*count], bytes).map_err(unwritten)?);
        }
        views.insert(HASH.to_owned(), TensorView::new(Dtype::U8, vec![digest.len()], &digest).map_err(unwritten)?);
        let file = safetensors::serialize(views, None).map_err(unwritten)?;
        folder::write(&path, &file, Care::Quick)
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(&key[..2]).join(format!("{key}.safetensors"))
    }
}

/// The values for a sample: what was kept, or else what `compute` gives, which is kept then.
pub(crate) fn once(
    known: Option<&Known>,
    samples: &Samples,
    compute: impl FnOnce() -> Result<Values, RunError>,
) -> Result<Values, RunError> {
    let Some((known, key)) = known.and_then(|known| Some((known, known.key(samples)?))) else { return compute() };
    if let Some(values) = known.find(&key) {
        return Ok(values);
    }
    let values = compute()?;
    // Where nothing can be written it is computed again next time.
    let _ = known.keep(&key, &values);
    Ok(values)
}

fn unwritten(cause: safetensors::SafeTensorError) -> RunError {
    RunError::Environment(format!("what was computed cannot be kept: {cause}"))
}

/// Makes the folder, with a mark for backups and one for git.
fn prepare(folder: &Path) -> Result<(), RunError> {
    folder::make(folder)?;
    [("CACHEDIR.TAG", TAG), (".gitignore", "*\n")].iter().try_for_each(|(name, text)| {
        let path = folder.join(name);
        if path.exists() { Ok(()) } else { folder::write(&path, text.as_bytes(), Care::Quick) }
    })
}

/// The name of a term's tensor, which is never that of the hash.
fn named(term: &str) -> String {
    format!("value.{term}")
}

fn hash(all: &[Vec<u8>]) -> Vec<u8> {
    let mut hash = Sha256::new();
    all.iter().for_each(|bytes| hash.update(bytes));
    hash.finalize().to_vec()
}

fn digest(hash: &mut Sha256, values: &[f32]) {
    hash.update((values.len() as u64).to_le_bytes());
    let mut bytes = Vec::with_capacity(1 << 14);
    for part in values.chunks(1 << 12) {
        bytes.clear();
        bytes.extend(part.iter().flat_map(|x| x.to_le_bytes()));
        hash.update(&bytes);
    }
}

/// Hashes the values of models, in the order in which the graph reads them; gives the fields. None if it reads anything else, or what
/// training changes.
fn leaves(spec: &Spec, graph: &Graph, models: &Models, hash: &mut Sha256) -> Option<Vec<(usize, String)>> {
    let mut fields = Vec::new();
    for leaf in &graph.leaves {
        match leaf {
            Leaf::Field(data, name) => fields.push((*data, name.clone())),
            Leaf::Weight(number) if spec.stays(&spec.weights[*number].path) => digest(hash, models.value(leaf)?),
            Leaf::Buffer(number) if spec.stays(&spec.buffers[*number].path) => digest(hash, models.value(leaf)?),
            _ => return None,
        }
    }
    Some(fields)
}

/// What tells builds of segc apart: another one may round differently.
fn build() -> Option<(u64, std::time::SystemTime)> {
    let about = std::env::current_exe().and_then(std::fs::metadata).ok()?;
    Some((about.len(), about.modified().ok()?))
}

/// The folder for runs that lie in `out`: beside them, so that it serves them all.
pub fn cache_beside(out: &Path) -> PathBuf {
    out.parent().unwrap_or(out).join(".segc-cache")
}
