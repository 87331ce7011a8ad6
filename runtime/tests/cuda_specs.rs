//! The kernels of all shipped specs are what NVIDIA's run-time compiler takes. It needs no card; `SEGC_NVRTC` names its library. Where
//! none is found, a line says so.

mod card;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use segc_compiler::{Program, Request};
use segc_lang::params::{Moment, Overrides};
use segc_lang::source::{LoadError, Loader};
use segc_lang::spec::{Act, Spec, TermId, flat};
use segc_runtime::execute::cuda::print::{self, Precision, Printed, common, printed};
use segc_runtime::execute::replaced;

/// The names under which the library is known.
const NAMES: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

/// Reads what a spec uses or extends.
struct Beside;

impl Loader for Beside {
    fn load(&self, from: &str, path: &str) -> Result<(String, String), LoadError> {
        let target = Path::new(from).parent().unwrap_or(Path::new("")).join(path);
        let text = fs::read_to_string(&target).map_err(|_| LoadError::Missing(Vec::new()))?;
        Ok((target.display().to_string(), text))
    }
}

/// What a spec compiles.
struct Programs {
    /// All updates and moving averages of its phases, by phase and name.
    training: Vec<(String, Program)>,
    /// For settled models: solves, outputs, evaluations.
    settled: Vec<(String, Program)>,
}

fn programs(path: &Path) -> Programs {
    let text = fs::read_to_string(path).expect("a spec");
    let checked = segc_lang::compile(&path.display().to_string(), &text, &Beside, &Overrides::default());
    let end = checked.spec.as_ref().expect("it has no faults");
    let mut training = Vec::new();
    for (number, _) in end.phases.iter().enumerate().filter(|(_, phase)| phase.length.amount > 0.0) {
        let (spec, faults) = checked.at(&Overrides { moment: Moment::Phase { number, training: true }, ..Overrides::default() });
        let spec = spec.unwrap_or_else(|| panic!("{}: {faults:?}", path.display()));
        training.extend(of_phase(&spec, number));
    }
    Programs { training, settled: if end.pending.is_empty() { settled(end) } else { Vec::new() } }
}

/// The programs of one sample: the beginning, a step and the results of each member of a solve, then outputs and evaluations.
fn settled(spec: &Spec) -> Vec<(String, Program)> {
    let mut programs = Vec::new();
    let mut add = |name: &str, roots: Vec<(String, TermId)>| {
        if !roots.is_empty() {
            let program = segc_compiler::compile(spec, &roots, &Request::default(), true).expect("it can be executed");
            programs.push((name.to_owned(), program));
        }
    };
    for member in spec.solves.iter().flat_map(|solve| &solve.members) {
        add("beginning", member.states.iter().map(|state| (state.name.clone(), state.first)).collect());
        let next = member.states.iter().map(|state| (format!("next {}", state.name), state.next));
        add("step", next.chain(member.watched.iter().cloned()).collect());
    }
    let outputs = spec.output.iter().map(|output| (output.name.clone(), output.value));
    let measured = spec.evals.iter().flat_map(|eval| eval.values.iter().map(|(name, id)| (format!("{}.{name}", eval.name), *id)));
    add("outputs and evaluations", outputs.chain(measured).collect());
    programs
}

fn of_phase(spec: &Spec, number: usize) -> Vec<(String, Program)> {
    let phase = &spec.phases[number];
    let mut programs = Vec::new();
    let mut add = |name: &str, roots: &[_], states: bool| {
        let request = Request { batch: Some(phase.batch), states };
        let forward = segc_compiler::build(spec, roots, &request).expect("it can be executed");
        let replaces = replaced(spec, &forward);
        programs.push((format!("{}, {name}", phase.name), segc_compiler::plan::finish(forward, true, &replaces)));
    };
    for update in phase.updates() {
        if let Some(terms) = &update.terms {
            add(&update.loss, &terms.roots(&spec.weights), true);
        }
    }
    for statement in flat(&phase.body) {
        if let Act::Average(average) = &statement.act {
            let root = |(number, term): &(usize, TermId)| (format!("average.{}", spec.weights[*number].path), *term);
            let roots: Vec<_> = average.weights.iter().map(root).collect();
            if !roots.is_empty() {
                add("ema", &roots, false);
            }
        }
    }
    programs
}

fn specs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs");
    let files = |folder: &Path| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>();
    let mut all: Vec<PathBuf> = [files(&root), files(&root.join("principles"))].concat();
    all.retain(|path| path.extension().is_some_and(|end| end == "seg"));
    all.sort();
    all
}

/// The compiler behind a C program.
struct Nvrtc {
    folder: tempfile::TempDir,
    library: String,
}

impl Nvrtc {
    fn find() -> Option<Nvrtc> {
        if !card::has_compiler() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("nvrtc.c"), include_str!("card/nvrtc.c")).expect("written");
        let made =
            Command::new("cc").args(["-O1", "-o"]).arg(folder.path().join("nvrtc")).arg(folder.path().join("nvrtc.c")).arg("-ldl").status();
        assert!(made.expect("cc runs").success());
        let named = std::env::var("SEGC_NVRTC").into_iter();
        let mut nvrtc = Nvrtc { folder, library: String::new() };
        for library in named.chain(NAMES.map(String::from)) {
            nvrtc.library = library;
            if nvrtc.compile("extern \"C\" __global__ void nothing() {}\n", "sm_90").is_ok() {
                return Some(nvrtc);
            }
        }
        None
    }

    /// The log. Errors: the log of a text that is refused.
    fn compile(&self, text: &str, architecture: &str) -> Result<String, String> {
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("program.cu"), text).expect("written");
        let mut command = Command::new(path("nvrtc"));
        command.arg(&self.library).arg(path("program.cu")).arg(architecture).arg(path("program.cubin"));
        if let Some(folder) = Path::new(&self.library).parent().filter(|folder| folder.is_absolute()) {
            // The library looks for a second one of its own.
            command.env("LD_LIBRARY_PATH", folder);
        }
        let said = command.output().expect("it runs");
        let log = String::from_utf8_lossy(&said.stdout).trim_matches(['\0', '\n']).to_owned();
        if said.status.success() { Ok(log) } else { Err(log) }
    }
}

/// Those kernels of some programs that are not known yet, each once, behind the longest beginning.
fn together(all: &[Printed], known: &mut BTreeSet<String>) -> String {
    let mut before = String::new();
    let mut kernels = BTreeMap::new();
    for printed in all {
        let mut parts = printed.source.split("\n// kernel ");
        let own = parts.next().unwrap_or_default();
        if own.len() > before.len() {
            before = own.to_owned();
        }
        kernels.extend(parts.filter_map(|part| part.split_once('\n')));
    }
    kernels.retain(|name, _| known.insert((*name).to_owned()));
    kernels.iter().fold(before, |mut text, (name, kernel)| {
        let _ = write!(text, "\n// kernel {name}\n{kernel}");
        text
    })
}

#[test]
fn nvrtc_compiles_the_kernels_of_all_specs() {
    let nvrtc = Nvrtc::find();
    if nvrtc.is_none() {
        println!("kernels are not compiled: there is no NVRTC");
    }
    let (mut seen, mut known) = (0, BTreeSet::new());
    for path in specs() {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let Programs { training, settled } = programs(&path);
        let start = Instant::now();
        let print = |programs: &[(String, Program)]| -> Vec<Printed> {
            programs.iter().map(|(_, program)| printed(program, Precision::F32)).collect()
        };
        let (mut all, settled) = (print(&training), print(&settled));
        let of_host = all.iter().flat_map(|one| &one.acts).filter(|(_, act)| *act == print::Act::Host).count();
        assert_eq!(of_host, 0, "{name}: the host must help, so it cannot be captured");
        all.extend(settled);
        let printing = start.elapsed().as_secs_f64();
        let text = together(&all, &mut known);
        let launches: usize = all.iter().map(|one| one.acts.len()).sum();
        let kernels = text.matches("\n// kernel ").count();
        if all.is_empty() {
            println!("{name}: not executable yet");
            continue;
        }
        println!("{name}: {} programs, {launches} launches, {kernels} new kernels, printed in {printing:.2} s", all.len());
        if let Ok(folder) = std::env::var("SEGC_PRINTED") {
            fs::write(Path::new(&folder).join(format!("{name}.cu")), &text).expect("written");
        }
        seen += kernels;
        for architecture in ["sm_80", "sm_90"] {
            let Some(nvrtc) = &nvrtc else { continue };
            let start = Instant::now();
            let log = nvrtc.compile(&text, architecture).unwrap_or_else(|log| panic!("{name}: {log}"));
            println!("  {architecture}: {:.2} s", start.elapsed().as_secs_f64());
            assert_eq!(log.lines().take(20).collect::<Vec<_>>().join("\n"), "", "{name} for {architecture}");
        }
    }
    assert!(seen > 300, "{seen} kernels");
    if let Some(nvrtc) = &nvrtc {
        assert_eq!(nvrtc.compile(&common(&[1, 4096]), "sm_90"), Ok(String::new()));
    }
}
