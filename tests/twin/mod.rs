//! An update of a shipped spec beside its twin in PyTorch: what both are given, what ours makes of it, and how far they are apart.

#![allow(dead_code, reason = "every test file uses a part of it")]

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
use segc_runtime::execute::{Compiler, Cpu};

/// How far apart numbers may be from the twin's, in parts of their size.
const TOLERANCE: f64 = 1e-4;

/// An update of a shipped spec.
#[derive(Clone)]
pub struct Case {
    /// Name of its files.
    pub name: &'static str,
    pub spec: &'static str,
    pub sets: Vec<(&'static str, String)>,
    /// Texts of the spec, each of which stands there once, and what takes their place: networks made small.
    pub instead: &'static [(&'static str, &'static str)],
    /// Number of the phase.
    pub phase: usize,
    pub loss: &'static str,
    pub batch: usize,
    /// Steps and samples of the phase that are over.
    pub elapsed: f64,
    /// Values that the twin is told: name and number.
    pub told: &'static [(&'static str, f64)],
    /// How large weights are.
    pub size: Size,
}

/// How large invented weights are.
#[derive(Clone, Copy)]
pub enum Size {
    /// The same everywhere: for equalised ones one.
    Even(f64),
    /// So that results are about as large as what they are made of; gains and variances near one.
    ByFan,
}

pub type Values = BTreeMap<String, Tensor>;
type Roots = Vec<(String, TermId)>;

/// What evaluates an update: the inputs that have names, and the results.
pub trait Machine {
    fn run(&self, spec: &Spec, case: &Case, roots: &Roots, given: &Values) -> (Values, Values);
    /// How far apart the numbers of a result are from the twin's, in parts of their size: the differences, the numbers that size is
    /// taken of, and the largest number that is held to find a difference.
    fn apart(&self, off: &[f64], of: &[f64], held: f64) -> f64;
    /// How far apart they may be where derivatives take part; losses and states of nets are within [`TOLERANCE`] everywhere.
    fn tolerance(&self) -> f64;
}

/// Compares an update with what its twin made of the same, both in files `NAME.given.safetensors` and `NAME.results.safetensors` of a
/// folder. Where `SEGC_TWINS` names a folder, writes what is given there instead.
pub fn check(case: &Case, folder: &Path, machine: &impl Machine) {
    let spec = elaborated(case);
    let update = spec.phases[case.phase].updates().into_iter().find(|update| update.loss == case.loss);
    let terms = update.and_then(|update| update.terms.as_ref());
    let terms = terms.unwrap_or_else(|| panic!("{} has no update by {}: {:?}", case.spec, case.loss, spec.pending));
    let mut roots = terms.roots(&spec.weights);
    roots.extend(draws(&spec, &roots));
    let given = std::env::var_os("SEGC_TWINS");
    let file = |kind: &str| folder.join(format!("{}.{kind}.safetensors", case.name));
    let stored = if given.is_some() { Values::new() } else { read(&file("given")) };
    let (inputs, outputs) = machine.run(&spec, case, &roots, &stored);
    if let Some(folder) = given {
        let drawn = outputs.into_iter().filter(|(name, _)| name.starts_with("draw."));
        let told = case.told.iter().map(|(name, value)| (format!("value.{name}"), Tensor::new(Vec::new(), vec![*value])));
        let all: Values = inputs.into_iter().chain(drawn).chain(told).collect();
        return write(&all, &PathBuf::from(folder).join(format!("{}.given.safetensors", case.name)));
    }
    compare(case, &stored, &outputs, &read(&file("results")), machine);
}

fn elaborated(case: &Case) -> Spec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs").join(format!("{}.seg", case.spec));
    let mut text = std::fs::read_to_string(&path).expect("a shipped spec");
    for (old, new) in case.instead {
        assert_eq!(text.matches(old).count(), 1, "`{old}` in {}", case.spec);
        text = text.replace(old, new);
    }
    let overrides = Overrides {
        variants: vec!["paper".into()],
        sets: case.sets.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
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
fn draws(spec: &Spec, roots: &[(String, TermId)]) -> Roots {
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

/// The f64 definitions of the ops.
pub struct Definitions;

impl Machine for Definitions {
    fn run(&self, spec: &Spec, case: &Case, roots: &Roots, given: &Values) -> (Values, Values) {
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

    fn apart(&self, off: &[f64], of: &[f64], _: f64) -> f64 {
        largest(off) / largest(of)
    }

    fn tolerance(&self) -> f64 {
        TOLERANCE
    }
}

/// The executor for processors, in f32; weights of models that begin with a file are those of the file. Sizes are roots of mean squares:
/// where a network has a kink, rounding changes single numbers by much.
pub struct Processor {
    pub threads: usize,
    pub tolerance: f64,
}

impl Machine for Processor {
    fn run(&self, spec: &Spec, case: &Case, roots: &Roots, given: &Values) -> (Values, Values) {
        let device = Cpu::new(self.threads).unwrap_or_else(|why| panic!("{why}"));
        let mut compiler = Compiler::new(Box::new(device), true, false);
        let ready = compiler.compile(spec, roots, &Request { batch: Some(case.batch), states: true });
        let ready = ready.unwrap_or_else(|why| panic!("{why:?}"));
        println!("{}: compiled in {:.2} s", case.name, compiler.spent().as_secs_f64());
        let mut files = segc_runtime::weights::of_files(spec).unwrap_or_else(|why| panic!("{why:?}"));
        let mut inputs = Values::new();
        let program = ready.program();
        let bound: Vec<Vec<f32>> = program
            .inputs
            .iter()
            .map(|(leaf, shape)| {
                let path = match leaf {
                    Leaf::Weight(number) => spec.weights[*number].path.as_str(),
                    Leaf::Buffer(number) => spec.buffers[*number].path.as_str(),
                    _ => "",
                };
                if let Some(values) = files.remove(path) {
                    return values;
                }
                let (name, value) = input(spec, case, leaf, shape, given);
                let numbers = value.data.iter().map(|x| *x as f32).collect();
                inputs.extend(name.map(|name| (name, value)));
                numbers
            })
            .collect();
        let mut scratch = ready.scratch();
        ready.run(&bound.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut scratch).unwrap_or_else(|why| panic!("{why}"));
        let wide = |values: &Vec<f32>| values.iter().map(|x| f64::from(*x)).collect();
        let results = program.outputs.iter().zip(&scratch.outputs);
        (inputs, results.map(|((name, _, shape), values)| (name.clone(), Tensor::new(shape.clone(), wide(values)))).collect())
    }

    fn apart(&self, off: &[f64], of: &[f64], held: f64) -> f64 {
        let size = |values: &[f64]| (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt();
        // A weight is held in f32, so a small change of it is not more exact than that.
        (size(off) - f64::from(f32::EPSILON) * held).max(0.0) / size(of).max(f64::MIN_POSITIVE)
    }

    fn tolerance(&self) -> f64 {
        self.tolerance
    }
}

/// The value of an input; those that a twin needs have a name.
fn input(spec: &Spec, case: &Case, leaf: &Leaf, shape: &[usize], given: &Values) -> (Option<String>, Tensor) {
    let count = shape.iter().product::<usize>();
    let (name, kind) = match leaf {
        Leaf::Weight(number) => {
            let path = &spec.weights[*number].path;
            (format!("weight.{path}"), path.rsplit('.').next().unwrap_or_default())
        }
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
        None => Tensor::new(shape.to_vec(), invented(&name, kind, shape, case.size)),
    };
    assert_eq!(value.shape, shape, "{name}");
    (Some(name), value)
}

/// Numbers that depend on the name alone, as exact in f32.
fn invented(name: &str, kind: &str, shape: &[usize], size: Size) -> Vec<f64> {
    let count = shape.iter().product::<usize>();
    let mut state = name.bytes().fold(0x9e37_79b9_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((state >> 33) as u32) / f64::from(1u32 << 30) - 1.0
    };
    let fan = if shape.len() > 1 { count as f64 / shape[0] as f64 } else { 10.0 };
    let mut values: Vec<f64> = (0..count)
        .map(|_| match (kind, size) {
            ("t", _) => 3.0,
            // The second moment of a weight has its shape, a vector of a power iteration one axis.
            ("v", _) if !name.ends_with(".scale.v") => 1e-3 * (1.5 + next()),
            ("m", _) => 1e-2 * next(),
            ("field", _) => next(),
            ("u" | "v", _) => next() + 0.1,
            ("gain" | "usual_var", Size::ByFan) => 1.0 + 0.3 * next(),
            (_, Size::ByFan) => 1.7 * next() / fan.sqrt(),
            (_, Size::Even(size)) => size * (next() + next() + next()),
        })
        .collect();
    if kind == "u" || name.ends_with(".scale.v") {
        let length = values.iter().map(|x| x * x).sum::<f64>().sqrt();
        values.iter_mut().for_each(|x| *x /= length);
    }
    values.into_iter().map(|x| f64::from(x as f32)).collect()
}

/// Every result of the twin against ours.
fn compare(case: &Case, given: &Values, ours: &Values, twin: &Values, machine: &impl Machine) {
    for (name, value) in ours.iter().filter(|(name, _)| name.starts_with("draw.")) {
        let drawn: Vec<f64> = value.data.iter().map(|x| f64::from(*x as f32)).collect();
        assert_eq!(given.get(name).map(|stored| &stored.data), Some(&drawn), "{name}");
    }
    let weights = ours.keys().filter(|name| name.starts_with("weight.")).count();
    assert_eq!(twin.keys().filter(|name| name.starts_with("weight.")).count(), weights, "weights that the loss reaches");
    assert!(weights > 10 && given.len() > weights);
    let left: Vec<_> = ours.keys().filter(|name| name.starts_with("next.") && !name.ends_with(".t") && !twin.contains_key(*name)).collect();
    assert!(left.is_empty(), "{}: the twin says nothing of {left:?}", case.name);
    let mut apart: Vec<(f64, &String)> = Vec::new();
    for (name, expected) in twin {
        let own = ours.get(name).unwrap_or_else(|| panic!("{}: nothing is called {name}", case.name));
        assert_eq!(own.data.len(), expected.data.len(), "{name}");
        let off: Vec<f64> = own.data.iter().zip(&expected.data).map(|(own, expected)| own - expected).collect();
        let measure = beside(name, twin).unwrap_or_else(|| name.clone());
        let mut of = changed(&measure, given, &twin[&measure]);
        // A bias before an instance norm has the gradient zero, but for rounding; steps of weights are small themselves.
        of.push(if name.starts_with("weight.") { 1e-12 } else { 1e-8 });
        let held = given.get(name).filter(|_| name.starts_with("weight.")).map_or(0.0, |before| largest(&before.data));
        apart.push((machine.apart(&off, &of, held), name));
    }
    apart.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("{}: {} tensors, {weights} weights, furthest apart:", case.name, twin.len());
    let forward = apart.iter().filter(|(_, name)| name.as_str() == "loss" || name.contains(".usual_") || name.contains(".scale."));
    apart.iter().take(6).chain(forward.take(2)).for_each(|(off, name)| println!("  {off:.1e} {name}"));
    for (off, name) in apart {
        let derived = name.starts_with("weight.") || name.ends_with(".m") || name.ends_with(".v") && !name.ends_with(".scale.v");
        let most = if derived { machine.tolerance() } else { TOLERANCE };
        assert!(off < most, "{}: {name} is off by {off:.1e}", case.name);
    }
}

/// The numbers of a result. A step is small beside a weight: of weights it is the change.
fn changed(name: &str, given: &Values, value: &Tensor) -> Vec<f64> {
    match given.get(name).filter(|_| name.starts_with("weight.")) {
        Some(before) => value.data.iter().zip(&before.data).map(|(after, before)| after - before).collect(),
        None => value.data.clone(),
    }
}

/// By what a bias is measured whose gradient is zero but for rounding, because a norm takes the mean off: the weights beside it.
fn beside(name: &str, twin: &Values) -> Option<String> {
    let mut parts: Vec<&str> = name.split('.').collect();
    let at = parts.iter().rposition(|part| *part == "b")?;
    let stem = parts[1..at].join(".");
    let moment = |leaf: &str| [".m", ".inner.m"].iter().find_map(|end| twin.get(&format!("next.{stem}.{leaf}{end}")));
    parts[at] = "w";
    (largest(&moment("b")?.data) < 1e-6 * largest(&moment("w")?.data)).then(|| parts.join("."))
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most: f64, x| most.max(x.abs()))
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
