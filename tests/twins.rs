//! One step of every update of the methods equals a twin in PyTorch that was written from the description of the method
//! (`tests/twins/*.py`): losses, moments (with a first beta of zero they are the gradients), states, new weights.
//!
//! `SEGC_TWINS=FOLDER cargo test --test twins` writes what a twin is given into a folder instead of comparing; `tests/twins/README.md`
//! says how results are made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use segc_compiler::build::{Leaf, Request, build};
use segc_compiler::ops::Form;
use segc_compiler::tensor::Tensor;
use segc_lang::fault::Severity;
use segc_lang::params::{Moment, Overrides};
use segc_lang::source::{LoadError, Loader};
use segc_lang::spec::{Per, Prim, Spec, TermId};

/// An update of a shipped spec, made small.
struct Case {
    /// Name of its files.
    name: &'static str,
    spec: &'static str,
    sets: &'static [(&'static str, &'static str)],
    /// Number of the phase.
    phase: usize,
    loss: &'static str,
    batch: usize,
    /// Steps and samples of the phase that are over.
    elapsed: f64,
    /// Values that the twin is told: name and number.
    told: &'static [(&'static str, f64)],
    /// How large weights are: for equalised ones one.
    size: f64,
}

const PERTURBGAN: &[(&str, &str)] =
    &[("resolution", "16"), ("widest", "6"), ("latent", "6"), ("batch_n", "4"), ("grow_for", "1000"), ("jitter", "0.3"), ("chunks", "0")];
const ENCODER: &[(&str, &str)] = &[("resolution", "16"), ("widest", "6"), ("latent", "6"), ("chunks", "1"), ("base_E", "2")];
const IEM_NET: &[(&str, &str)] = &[("size", "16"), ("base_2", "2")];
const REDO: &[(&str, &str)] = &[("size", "16"), ("base", "4"), ("base_D", "8"), ("base_F", "2"), ("nz", "3"), ("batch_n", "3")];

#[test]
fn perturbgan_discriminator() {
    check(&Case { name: "perturbgan-discriminator", loss: "discriminator", ..perturbgan() });
}

#[test]
fn perturbgan_generator() {
    check(&Case { name: "perturbgan-generator", loss: "generator", ..perturbgan() });
}

#[test]
fn redo_generator() {
    check(&Case { name: "redo-generator", loss: "generator", ..redo() });
}

#[test]
fn redo_discriminator() {
    check(&Case { name: "redo-discriminator", loss: "discriminator", ..redo() });
}

/// The second stage of PerturbGAN: the encoder of a chunk of images, through frozen generators and the critic's features.
#[test]
fn perturbgan_reconstruction() {
    let told = &[("fade", 1.0), ("side", 16.0)];
    let case = Case { name: "perturbgan-reconstruction", loss: "reconstruction", sets: ENCODER, phase: 3, ..perturbgan() };
    check(&Case { batch: 20, elapsed: 0.0, told, ..case });
}

/// The second stage of IEM: a network imitates masks.
#[test]
fn iem_net_imitate() {
    check(&Case { name: "iem_net-imitate", spec: "iem_net", loss: "imitate", sets: IEM_NET, batch: 32, ..redo() });
}

fn perturbgan() -> Case {
    let told = &[("fade", 0.3), ("side", 16.0)];
    Case { name: "", spec: "perturbgan", sets: PERTURBGAN, phase: 1, loss: "", batch: 4, elapsed: 150.0, told, size: 1.0 }
}

fn redo() -> Case {
    Case { name: "", spec: "redo", sets: REDO, phase: 0, loss: "", batch: 3, elapsed: 0.0, told: &[], size: 0.3 }
}

fn check(case: &Case) {
    let spec = elaborated(case);
    let update = spec.phases[case.phase].updates().into_iter().find(|update| update.loss == case.loss);
    let terms = update.and_then(|update| update.terms.as_ref());
    let terms = terms.unwrap_or_else(|| panic!("{} has no update by {}: {:?}", case.spec, case.loss, spec.pending));
    let mut roots = terms.roots(&spec.weights);
    roots.extend(draws(&spec, &roots));
    let given = std::env::var_os("SEGC_TWINS");
    let inputs = if given.is_some() { BTreeMap::new() } else { read(&file(case, "given")) };
    let (inputs, outputs) = run(&spec, case, &roots, &inputs);
    if let Some(folder) = given {
        let drawn = outputs.into_iter().filter(|(name, _)| name.starts_with("draw."));
        let told = case.told.iter().map(|(name, value)| (format!("value.{name}"), Tensor::new(Vec::new(), vec![*value])));
        let all: BTreeMap<_, _> = inputs.into_iter().chain(drawn).chain(told).collect();
        return write(&all, &Path::new(&folder).join(format!("{}.given.safetensors", case.name)));
    }
    compare(case, &inputs, &outputs);
}

fn elaborated(case: &Case) -> Spec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs").join(format!("{}.seg", case.spec));
    let text = std::fs::read_to_string(&path).expect("a shipped spec");
    let overrides = Overrides {
        variants: vec!["paper".into()],
        sets: case.sets.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        moment: Moment::Phase { number: case.phase, training: true },
        ..Overrides::default()
    };
    let checked = segc_lang::compile(&format!("{}.seg", case.spec), &text, &Specs, &overrides);
    let errors: Vec<_> = checked.faults.iter().filter(|fault| fault.severity == Severity::Error).collect();
    checked.spec.unwrap_or_else(|| panic!("{errors:?}"))
}

/// The folder of shipped specs.
struct Specs;

impl Loader for Specs {
    fn load(&self, _: &str, name: &str) -> Result<(String, String), LoadError> {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("specs").join(name));
        text.map(|text| (name.to_owned(), text)).map_err(|_| LoadError::Outside)
    }
}

/// All draws of a turn that the roots need, as roots `draw.<path>`.
fn draws(spec: &Spec, roots: &[(String, TermId)]) -> Vec<(String, TermId)> {
    let (mut seen, mut open) = (BTreeSet::new(), roots.iter().map(|(_, id)| *id).collect::<Vec<_>>());
    let mut found = Vec::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let term = spec.terms.get(id);
        if let Prim::Draw { path, per, .. } = &term.prim
            && *per != Per::Start
        {
            found.push((format!("draw.{path}"), id));
        }
        if let Prim::Called(call) = term.prim {
            open.extend(spec.calls[call].states.iter().filter_map(|(_, next)| *next));
        }
        open.extend(&term.args);
    }
    found
}

type Values = BTreeMap<String, Tensor>;

/// Evaluates the roots by the f64 definitions; gives what was read and what came out.
fn run(spec: &Spec, case: &Case, roots: &[(String, TermId)], given: &Values) -> (Values, Values) {
    let graph = build(spec, roots, &Request { batch: Some(case.batch), states: true }).unwrap_or_else(|fault| panic!("{fault:?}"));
    let graph = segc_compiler::simplify(&segc_compiler::differentiate(&graph));
    let live = graph.live();
    let mut inputs = Values::new();
    let mut made: Vec<Option<Tensor>> = vec![None; graph.len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        let operands: Vec<&Tensor> = graph.operands(id).iter().filter_map(|operand| made[operand.index()].as_ref()).collect();
        made[id.index()] = Some(match node.op.form() {
            Form::Input(number) => {
                let (name, value) = input(spec, case, &graph.leaves[number], &node.shape, given);
                if let Some(name) = name {
                    inputs.insert(name, value.clone());
                }
                value
            }
            _ => node.op.reference(&operands, &node.shape),
        });
    }
    let results = graph.outputs.iter().filter_map(|(name, id)| Some((name.clone(), made[id.index()].clone()?)));
    (inputs, results.collect())
}

/// The value of an input; those that a twin needs have a name.
fn input(spec: &Spec, case: &Case, leaf: &Leaf, shape: &[usize], given: &Values) -> (Option<String>, Tensor) {
    let count = shape.iter().product::<usize>();
    let (name, kind) = match leaf {
        Leaf::Weight(number) => (format!("weight.{}", spec.weights[*number].path), "weight"),
        Leaf::Buffer(number) => {
            let path = &spec.buffers[*number].path;
            (format!("buffer.{path}"), path.rsplit('.').next().unwrap_or_default())
        }
        Leaf::Field(data, field) => (format!("field.{}.{field}", spec.data[*data].name), "field"),
        Leaf::Clock => return (None, Tensor::new(shape.to_vec(), vec![0.0; count])),
        Leaf::Samples => return (None, Tensor::new(shape.to_vec(), (0..count).map(|at| ((at + 1) % 2 * (at / 2)) as f64).collect())),
        Leaf::Elapsed(_) => return (None, Tensor::new(shape.to_vec(), vec![case.elapsed; count])),
        other => panic!("{other:?} in an update"),
    };
    let value = match given.get(&name) {
        Some(value) => value.clone(),
        None => Tensor::new(shape.to_vec(), invented(&name, kind, count, case.size)),
    };
    assert_eq!(value.shape, shape, "{name}");
    (Some(name), value)
}

/// Numbers that depend on the name alone, as exact in f32.
fn invented(name: &str, kind: &str, count: usize, size: f64) -> Vec<f64> {
    let mut state = name.bytes().fold(0x9e37_79b9_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((state >> 33) as u32) / f64::from(1u32 << 30) - 1.0
    };
    let mut values: Vec<f64> = (0..count)
        .map(|_| match kind {
            "t" => 3.0,
            "v" => 1e-3 * (1.5 + next()),
            "m" => 1e-2 * next(),
            "field" => next(),
            "u" => next() + 0.1,
            _ => size * (next() + next() + next()),
        })
        .collect();
    if kind == "u" {
        let length = values.iter().map(|x| x * x).sum::<f64>().sqrt();
        values.iter_mut().for_each(|x| *x /= length);
    }
    values.into_iter().map(|x| f64::from(x as f32)).collect()
}

/// Every result of the twin against ours, relative to the largest number of its tensor.
fn compare(case: &Case, given: &Values, ours: &Values) {
    for (name, value) in ours.iter().filter(|(name, _)| name.starts_with("draw.")) {
        let stored = read(&file(case, "given"));
        assert_eq!(stored.get(name).map(|stored| &stored.data), Some(&value.data.iter().map(|x| f64::from(*x as f32)).collect()), "{name}");
    }
    let twin = read(&file(case, "results"));
    let weights = ours.keys().filter(|name| name.starts_with("weight.")).count();
    assert_eq!(twin.keys().filter(|name| name.starts_with("weight.")).count(), weights, "weights that the loss reaches");
    assert!(weights > 10 && given.len() > weights);
    let mut worst = (0.0, String::new());
    for (name, expected) in &twin {
        let own = ours.get(name).unwrap_or_else(|| panic!("{}: nothing is called {name}", case.name));
        // A step is small beside a weight: what is compared is the change.
        let before = given.get(name).filter(|_| name.starts_with("weight."));
        let change = |data: &[f64]| match before {
            Some(before) => data.iter().zip(&before.data).map(|(after, before)| after - before).collect(),
            None => data.to_vec(),
        };
        let (own, expected) = (change(&own.data), change(&expected.data));
        assert_eq!(own.len(), expected.len(), "{name}");
        // A bias before an instance norm has the gradient zero, but for rounding; steps of weights are small themselves.
        let least: f64 = if before.is_some() { 1e-12 } else { 1e-8 };
        let scale = expected.iter().fold(least, |most, x| most.max(x.abs()));
        let off = own.iter().zip(&expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs())) / scale;
        if off > worst.0 {
            worst = (off, name.clone());
        }
    }
    println!("{}: {} tensors, {weights} weights, furthest apart {:.1e} ({})", case.name, twin.len(), worst.0, worst.1);
    assert!(worst.0 < 1e-4, "{}: {} is off by {:.1e}", case.name, worst.1, worst.0);
}

fn file(case: &Case, kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/twins").join(format!("{}.{kind}.safetensors", case.name))
}

fn read(path: &Path) -> Values {
    let bytes = std::fs::read(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let numbers = |view: &TensorView| match view.dtype() {
        Dtype::F64 => view.data().as_chunks::<8>().0.iter().map(|x| f64::from_le_bytes(*x)).collect(),
        _ => view.data().as_chunks::<4>().0.iter().map(|x| f64::from(f32::from_le_bytes(*x))).collect(),
    };
    file.tensors().into_iter().map(|(name, view)| (name, Tensor::new(view.shape().to_vec(), numbers(&view)))).collect()
}

fn write(values: &Values, path: &Path) {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = values
        .iter()
        .map(|(name, value)| (name.clone(), value.shape.clone(), value.data.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect()))
        .collect();
    let views: Vec<_> = bytes
        .iter()
        .map(|(name, shape, data)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).expect("a tensor")))
        .collect();
    let file = safetensors::serialize(views, None).expect("tensors");
    std::fs::write(path, file).expect("a folder that can be written");
}
