//! `segc selftest`: whether this machine computes right, part by part, with a table at the end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use segc_compiler::ops::TABLE;
use segc_lang::nearest;
use segc_lang::params::Overrides;
use segc_runtime::outcome::RunError;
use segc_runtime::selftest::ops::{self, Manner};
use segc_runtime::selftest::training::{self, Subject};
use segc_runtime::selftest::{Found, golden};
use segc_runtime::session::{On, Options};
use serde_json::{Value, json};

use crate::cli::{PartName, Selftest};
use crate::commands::compare::{aligned, write};
use crate::commands::run::device;
use crate::compiled::{Moments, failed, misused};
use crate::console::{self, Exit};
use crate::shipped;

/// Where the golden cases of a clone are.
const GOLDENS: &str = "tests/goldens";

/// What is trained: all statements of a training, and networks that take no time.
const TINY: [(&str, &str); 4] = [("resolution", "8"), ("widest", "8"), ("latent", "8"), ("batch_n", "4")];

/// Steps of it, so that what comes every eighth step comes.
const STEPS: u64 = 10;

/// Ops that compute-sanitizer looks at: one of every kind of kernel.
const SANITIZED: [&str; 9] = ["add", "exp", "sum", "dot", "conv2d", "max_pool", "gather", "scatter", "resample"];

/// What it looks for.
const TOOLS: [&str; 3] = ["memcheck", "racecheck", "initcheck"];

/// Exit code of compute-sanitizer where it found something.
const SANITIZER_FOUND: i32 = 86;

/// So many wrong results of a part are told.
const TOLD: usize = 12;

/// A part that was done or left out.
struct Part {
    name: PartName,
    /// What was found; why the part was left out.
    found: Result<Found, String>,
    seconds: f64,
}

/// Runs it.
pub fn selftest(args: &Selftest) -> Exit {
    attempt(args).unwrap_or_else(|exit| exit)
}

fn attempt(args: &Selftest) -> Result<Exit, Exit> {
    if let Some(unknown) = args.ops.iter().find(|name| !TABLE.iter().any(|entry| entry.name == **name)) {
        let near = nearest::nearest(unknown, TABLE.iter().map(|entry| entry.name));
        let near = near.map_or_else(|| "`segc ops` lists them".into(), |near| format!("Did you mean `{near}`?"));
        return Err(misused(&format!("there is no op `{unknown}`; {near}")));
    }
    let (on, told) = device(&args.machine)?;
    if !told.is_empty() {
        console::err(&told);
    }
    let all = [PartName::Ops, PartName::Golden, PartName::Training, PartName::Sanitizer];
    let mut parts = Vec::new();
    let begun = Instant::now();
    for name in all.into_iter().filter(|name| args.only.is_empty() || args.only.contains(name)) {
        console::err(&format!("{} ..", word(name)));
        let begin = Instant::now();
        let found = match name {
            PartName::Ops => conformance(args, on),
            PartName::Golden => goldens(args, on),
            PartName::Training => trainings(args, on),
            PartName::Sanitizer => sanitizer(on),
        };
        let part = Part { name, found: found.map_err(failed)?, seconds: begin.elapsed().as_secs_f64() };
        part.tell();
        parts.push(part);
    }
    let wrong = parts.iter().any(|part| part.wrong() > 0);
    let exit = if wrong { Exit::Faults } else { Exit::Done };
    let device = on.device().name();
    let verdict = if wrong { "computes wrongly: see above" } else { "computes right, as far as this goes" };
    console::out(&format!("{}{device} {verdict}\n", table(&parts)));
    let json = || form(&parts, device, args.machine.threads.count(), begun.elapsed().as_secs_f64());
    match args.json.as_ref().map(|file| write(file, &format!("{:#}\n", json()))) {
        None | Some(Exit::Done) => Ok(exit),
        Some(other) => Err(other),
    }
}

fn conformance(args: &Selftest, on: On) -> Result<Result<Found, String>, RunError> {
    let manner = Manner {
        only: &args.ops,
        threads: args.machine.threads.count(),
        fused_like_single: matches!(on, On::Cpu | On::Portable),
        may_refuse: is_second_opinion(on),
        // Of its own sums and functions.
        least: if is_second_opinion(on) { 1e-4 } else { 0.0 },
    };
    Ok(Ok(ops::check(&*on.shared_by(1)?, &manner)))
}

#[cfg(feature = "dfdx")]
fn is_second_opinion(on: On) -> bool {
    on == On::Dfdx
}

#[cfg(not(feature = "dfdx"))]
fn is_second_opinion(_: On) -> bool {
    false
}

fn goldens(args: &Selftest, on: On) -> Result<Result<Found, String>, RunError> {
    let folder = match &args.goldens {
        Some(folder) => folder.clone(),
        None if Path::new(GOLDENS).is_dir() => GOLDENS.into(),
        None => return Ok(Err(format!("there is no folder {GOLDENS} here; --goldens DIR names another"))),
    };
    let found = golden::check(&folder, &*on.shared_by(1)?, args.machine.threads.count(), is_second_opinion(on));
    found.map(Ok).map_err(|why| RunError::Data(format!("golden cases cannot be read: {why}")))
}

fn trainings(args: &Selftest, on: On) -> Result<Result<Found, String>, RunError> {
    let sets = TINY.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let overrides = Overrides { sets, ..Overrides::default() };
    let (checked, end) = shipped::compiled("perturbgan", shipped::PERTURBGAN, &overrides).map_err(RunError::Usage)?;
    let moments = Moments { checked: &checked, overrides };
    let options = Options { on, ..Options::plain(args.machine.threads.count()) };
    let folder = Scratch(std::env::temp_dir().join(format!("segc-selftest-{}", std::process::id())));
    let subject = Subject { end: &end, specs: &moments };
    training::check(&subject, &options, STEPS, &folder.0).map(Ok)
}

/// A folder that goes when it is no longer needed.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs some ops in a process under compute-sanitizer.
fn sanitizer(on: On) -> Result<Result<Found, String>, RunError> {
    if !matches!(on, On::Cuda(_)) {
        return Ok(Err("only kernels of a card are looked at".into()));
    }
    let Some(program) = sanitizer_program() else {
        return Ok(Err("compute-sanitizer is not on the path".into()));
    };
    let own = std::env::current_exe().map_err(|cause| RunError::Environment(format!("this program is not found: {cause}")))?;
    let mut found = Found::default();
    for tool in TOOLS {
        let mut command = Command::new(&program);
        command.args(["--tool", tool, "--error-exitcode", &SANITIZER_FOUND.to_string()]).arg(&own);
        command.args(["selftest", "--on", "cuda", "--threads", "1", "--only", "ops", "--ops", &SANITIZED.join(",")]);
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|cause| RunError::Environment(format!("{} cannot be started: {cause}", program.display())))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let said: Vec<&str> = text.lines().filter(|line| line.starts_with("=========")).take(TOLD).collect();
        found.say(match output.status.code() {
            Some(0) => Ok(()),
            code => Err(format!("{tool} ends with {}:\n{}", code.map_or("a signal".into(), |code| code.to_string()), said.join("\n"))),
        });
    }
    Ok(Ok(found))
}

/// On the path, or where the toolkit of CUDA puts it.
fn sanitizer_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/local/cuda/bin")]);
    folders.map(|folder| folder.join("compute-sanitizer")).find(|file| file.is_file())
}

fn word(name: PartName) -> &'static str {
    match name {
        PartName::Ops => "ops",
        PartName::Golden => "golden",
        PartName::Training => "training",
        PartName::Sanitizer => "sanitizer",
    }
}

impl Part {
    fn wrong(&self) -> usize {
        self.found.as_ref().map_or(0, |found| found.wrong.len())
    }

    /// What is wrong, and what was left out.
    fn tell(&self) {
        match &self.found {
            Err(why) => console::err(&format!("{} is left out: {why}", word(self.name))),
            Ok(found) => {
                found.wrong.iter().take(TOLD).for_each(|line| console::error(&format!("{}: {line}", word(self.name))));
                if found.wrong.len() > TOLD {
                    console::err(&format!("and {} more; --json FILE holds all", found.wrong.len() - TOLD));
                }
                found.notes.iter().for_each(|note| console::err(&format!("left out: {note}")));
            }
        }
    }

    fn row(&self) -> (String, Vec<String>) {
        let cells = match &self.found {
            Err(_) => vec!["–".to_owned(); 5],
            Ok(found) => {
                let worst = found.worst.as_ref();
                let number = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.1e}"));
                let (error, allowed) = (number(worst.map(|worst| worst.error)), number(worst.map(|worst| worst.allowed)));
                let of = worst.map_or("–".into(), |worst| worst.of.clone());
                vec![found.cases.to_string(), found.wrong.len().to_string(), error, allowed, of]
            }
        };
        (word(self.name).into(), [cells, vec![format!("{:.1}", self.seconds)]].concat())
    }

    fn form(&self) -> Value {
        let mut form = match &self.found {
            Err(why) => json!({ "left_out": why }),
            Ok(found) => json!(found),
        };
        form["part"] = word(self.name).into();
        form["seconds"] = self.seconds.into();
        form
    }
}

fn table(parts: &[Part]) -> String {
    let head = ["cases", "wrong", "worst error", "allowed", "of", "seconds"].map(String::from).to_vec();
    aligned(&std::iter::once((String::new(), head)).chain(parts.iter().map(Part::row)).collect::<Vec<_>>())
}

fn form(parts: &[Part], device: &str, threads: usize, seconds: f64) -> Value {
    json!({
        "segc": segc_runtime::VERSION,
        "device": device,
        "threads": threads,
        "right": parts.iter().all(|part| part.wrong() == 0),
        "seconds": seconds,
        "parts": parts.iter().map(Part::form).collect::<Vec<_>>(),
    })
}
