//! One-fault specs under `tests/check`, each with the message that its author would see as a snapshot beside it.

use segc_lang::params::Overrides;
use segc_lang::render::render;
use segc_lang::source::{LoadError, Loader};
use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

/// Reads files below `tests/check`, relative to the file that names them.
struct Folder(PathBuf);

impl Loader for Folder {
    fn load(&self, from: &str, path: &str) -> Result<(String, String), LoadError> {
        let mut full = Path::new(from).parent().unwrap_or(Path::new("")).to_path_buf();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(part) => full.push(part),
                Component::CurDir => {}
                Component::ParentDir if full.pop() => {}
                _ => return Err(LoadError::Outside),
            }
        }
        let name = full.to_string_lossy().replace('\\', "/");
        match std::fs::read_to_string(self.0.join(&full)) {
            Ok(text) => Ok((name, text)),
            Err(_) => Err(LoadError::Missing(self.beside(&full))),
        }
    }
}

impl Folder {
    fn beside(&self, path: &Path) -> Vec<String> {
        let folder = self.0.join(path.parent().unwrap_or(Path::new("")));
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name.ends_with(".seg")).collect();
        names.sort();
        names
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check")
}

/// `// set: NAME=VALUE` and `// variant: NAME` at the start of a case.
fn overrides(text: &str) -> Overrides {
    let after = |mark: &str| text.lines().filter_map(|line| line.strip_prefix(mark)).map(str::to_string).collect::<Vec<_>>();
    let sets = after("// set: ").iter().filter_map(|set| set.split_once('=').map(|(a, b)| (a.to_string(), b.to_string()))).collect();
    Overrides { variants: after("// variant: "), sets, ..Overrides::default() }
}

fn report(name: &str, text: &str) -> (usize, String) {
    let checked = segc_lang::compile(name, text, &Folder(folder()), &overrides(text));
    let mut shown = String::new();
    for fault in &checked.faults {
        let _ = writeln!(shown, "{}", render(fault, &checked.modules.sources, false));
    }
    (checked.faults.len(), shown)
}

#[test]
fn every_case_has_one_fault_and_says_it_well() {
    let mut several = Vec::new();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "seg") {
            continue;
        }
        count += 1;
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let (faults, shown) = report(&format!("{stem}.seg"), &text);
        if faults != 1 {
            several.push(format!("{stem}: {faults} faults\n{shown}"));
        }
        settings.bind(|| insta::assert_snapshot!(stem, shown));
    }
    assert!(count >= 80, "only {count} cases");
    assert!(several.is_empty(), "{} of {count} cases\n{}", several.len(), several.join("\n"));
}

#[test]
fn ten_thousand_brackets_are_refused_quickly() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{ a: ", " }"), ("abs(", ")"), ("x[", "]"), ("-", ""), ("not ", ""), ("if a then ", "")]
    {
        let text = format!("let x = {}1{}\n", open.repeat(10_000), close.repeat(10_000));
        let (faults, shown) = report("deep.seg", &text);
        assert!(faults > 0, "{open}");
        assert!(shown.len() < 20_000, "{open}: {} bytes", shown.len());
    }
}

#[test]
fn ten_megabytes_are_met() {
    let long: String = (0..)
        .map(|k| format!("let x{k} = {k}\n"))
        .scan(0, |size, line| {
            *size += line.len();
            (*size < 10_000_000).then_some(line)
        })
        .collect();
    let started = std::time::Instant::now();
    let (_, shown) = report("long.seg", &long);
    assert!(shown.len() < 100_000);
    let noise = "x".repeat(10_000_000);
    let (faults, shown) = report("noise.seg", &noise);
    assert!(faults > 0);
    assert!(shown.len() < 100_000, "{}", shown.len());
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
