//! The measurable part of the style rules (CONTRIBUTING.md), checked on the text of every file.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file under the rules.
struct Rust {
    /// Relative to the repository.
    path: String,
    text: String,
}

impl Rust {
    /// Whether the whole file is test code.
    fn is_test(&self) -> bool {
        let folders = ["tests/", "benches/"];
        folders.iter().any(|folder| self.path.starts_with(folder)) || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Lines of code with their numbers, without comments and without the `#[cfg(test)]` module that ends the file.
    fn own_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        lines.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(at, line)| (at + 1, line))
    }
}

/// A function of a file.
struct Function {
    name: String,
    /// Line of its `fn`.
    at: usize,
    lines: usize,
}

/// The only rooms that may hold `unsafe`: files, and folders with a slash.
const UNSAFE_ROOMS: [&str; 3] =
    ["runtime/src/execute/cpu/native/code.rs", "runtime/src/execute/cpu/team.rs", "runtime/src/execute/cuda/driver/"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] = ["util", "utils", "helper", "helpers", "manager", "misc", "common", "shared", "stuff"];

#[test]
fn every_file_says_what_it_is_for() {
    refuse(files().iter().filter(|file| !file.text.starts_with("//! ")).map(|file| format!("{}: begins without `//! `", file.path)));
}

#[test]
fn files_and_lines_are_short() {
    let mut found = Vec::new();
    for file in files() {
        let lines = file.text.lines().count();
        if lines > 600 {
            found.push(format!("{}: {lines} lines, more than 600", file.path));
        }
        let long = file.text.lines().enumerate().filter(|(_, line)| line.chars().count() > 140);
        found.extend(long.map(|(at, line)| format!("{}:{}: {} columns, more than 140", file.path, at + 1, line.chars().count())));
    }
    refuse(found);
}

#[test]
fn functions_are_short_but_for_tables() {
    let mut found = Vec::new();
    for file in files().iter().filter(|file| !file.path.contains("table")) {
        let long = functions(&file.text).into_iter().filter(|one| one.lines > 100);
        found.extend(long.map(|one| format!("{}:{}: fn {} has {} lines, more than 100", file.path, one.at, one.name, one.lines)));
    }
    refuse(found);
}

#[test]
fn nine_functions_in_ten_are_very_short() {
    let own = files();
    let all: Vec<Function> = own.iter().filter(|file| !file.is_test()).flat_map(|file| functions(&file.text)).collect();
    let short = all.iter().filter(|one| one.lines <= 40).count();
    assert!(short * 10 >= all.len() * 9, "only {short} of {} functions have at most 40 lines", all.len());
}

#[test]
fn nothing_gives_up_outside_tests() {
    // Cut in two, so that this file does not contain what it looks for.
    let words = [[".unwr", "ap()"], [".expe", "ct(\""], ["to", "do!("], ["unimple", "mented!("], ["db", "g!("], ["pan", "ic!("]];
    let words = words.map(|halves| halves.concat());
    let mut found = Vec::new();
    for file in files().iter().filter(|file| !file.is_test()) {
        for (at, line) in file.own_lines() {
            found.extend(words.iter().filter(|word| line.contains(*word)).map(|word| format!("{}:{at}: {word}", file.path)));
        }
    }
    refuse(found);
}

#[test]
fn names_of_files_say_something() {
    let named = |file: &Rust| {
        EMPTY_NAMES.iter().any(|name| file.path.ends_with(&format!("/{name}.rs")) || file.path.contains(&format!("/{name}/")))
    };
    refuse(files().iter().filter(|file| named(file)).map(|file| format!("{}: a name that says nothing", file.path)));
}

#[test]
fn unsafe_code_lives_in_named_rooms_and_says_why() {
    let word = ["un", "safe"].concat();
    let is_word = |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|token| token == word);
    let mut found = Vec::new();
    for file in files().iter().filter(|file| !file.is_test()) {
        let allowed = UNSAFE_ROOMS.iter().any(|room| if room.ends_with('/') { file.path.starts_with(room) } else { file.path == *room });
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in file.own_lines().filter(|(_, line)| is_word(line.split("//").next().unwrap_or_default())) {
            let explained = lines[at.saturating_sub(6)..at].iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety"));
            if !allowed {
                found.push(format!("{}:{at}: {word} outside {UNSAFE_ROOMS:?}", file.path));
            } else if !explained {
                found.push(format!("{}:{at}: no SAFETY note: {}", file.path, line.trim()));
            }
        }
    }
    refuse(found);
}

/// The body of a closure that an iterator calls may end up in a function of its own, which is compiled without wide instructions; then
/// every multiply-add is a call of the library.
#[test]
fn what_runs_under_wide_instructions_is_written_as_loops() {
    let mut found = Vec::new();
    for file in files().iter().filter(|file| file.path.starts_with("runtime/src/execute/cpu/")) {
        let mut end: Option<String> = None;
        for (at, line) in file.own_lines() {
            if line.trim() == "#[inline(always)]" {
                end = Some(line.replace("#[inline(always)]", "}"));
            } else if end.as_deref() == Some(line) {
                end = None;
            } else if end.is_some() && [".for_each(", ".fold("].iter().any(|call| line.contains(call)) {
                found.push(format!("{}:{at}: a closure under wide instructions: {}", file.path, line.trim()));
            }
        }
    }
    refuse(found);
}

#[test]
fn dependencies_run_one_way() {
    // Each crate with the crates of ours that it may name.
    let may: [(&str, &[&str]); 4] = [
        ("lang/Cargo.toml", &["segc-lang"]),
        ("compiler/Cargo.toml", &["segc-compiler", "segc-lang"]),
        ("runtime/Cargo.toml", &["segc-runtime", "segc-lang", "segc-compiler"]),
        ("Cargo.toml", &["segc-lang", "segc-compiler", "segc-runtime"]),
    ];
    let mut found = Vec::new();
    for (path, allowed) in may {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|word| word.starts_with("segc-"));
        found.extend(words.filter(|name| !allowed.contains(name)).map(|name| format!("{path}: names {name}")));
    }
    refuse(found);
}

#[test]
fn every_op_is_in_the_table() {
    let folder = root().join("compiler/src/ops");
    let table = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let stems = files_in(&folder).into_iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    // A line of the table, or an ordinary module for what several ops have in common.
    let declared = |stem: &str| {
        let (line, module) = (format!("{stem}: "), format!("mod {stem};"));
        table.lines().any(|text| text.trim_start().starts_with(&line) || text.ends_with(&module))
    };
    refuse(
        stems.filter(|stem| stem != "mod" && !declared(stem)).map(|stem| format!("ops/{stem}.rs has no line in the table of ops/mod.rs")),
    );
}

#[test]
fn the_stages_of_the_architecture_exist() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rooms = BTreeMap::from([
        ("lang", "lang/src"),
        ("compiler", "compiler/src"),
        ("Device", "runtime/src"),
        ("session", "runtime/src"),
        ("train", "runtime/src"),
    ]);
    let sources = files();
    let stages: Vec<String> = text.lines().filter_map(stage_function).collect();
    assert!(stages.len() >= 8, "the stage table of ARCHITECTURE.md was not found: {stages:?}");
    let exists = |stage: &String| {
        let (room, name) = stage.split_once("::").unwrap_or(("", stage));
        let name = name.rsplit("::").next().unwrap_or_default();
        let written = [format!("fn {name}("), format!("fn {name}<")];
        let Some(folder) = rooms.get(room) else { return false };
        sources.iter().any(|file| file.path.starts_with(folder) && written.iter().any(|text| file.text.contains(text)))
    };
    refuse(stages.iter().filter(|stage| !exists(stage)).map(|stage| format!("ARCHITECTURE.md names `{stage}`, which is not written")));
}

/// `compiler::build` of a line `| 3 | build | compiler::build | .. |` of the stage table.
fn stage_function(line: &str) -> Option<String> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    cells.get(1)?.parse::<usize>().ok()?;
    Some(cells.get(3)?.trim_matches('`').to_string())
}

/// The functions of a file in rustfmt's layout: from a line with `fn name` to the closing brace of the same indentation.
fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some(name) = function_name(code) else { continue };
        if line.ends_with('}') || line.ends_with(';') {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - code.len()]);
        if let Some(length) = lines[at..].iter().position(|line| *line == close) {
            found.push(Function { name, at: at + 1, lines: length + 1 });
        }
    }
    found
}

fn function_name(code: &str) -> Option<String> {
    let words = ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe "];
    let mut rest = code;
    while let Some(after) = words.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = after;
    }
    let name: String = rest.strip_prefix("fn ")?.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// All Rust files of the repository.
fn files() -> Vec<Rust> {
    let mut paths = Vec::new();
    for package in ["", "lang", "compiler", "runtime"] {
        for room in ["src", "tests", "benches", "examples", "build.rs"] {
            collect(&root().join(package).join(room), &mut paths);
        }
    }
    assert!(paths.len() > 20, "the repository was not found");
    let file =
        |path: PathBuf| Rust { path: path.strip_prefix(root()).unwrap().display().to_string(), text: fs::read_to_string(&path).unwrap() };
    paths.into_iter().map(file).collect()
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        files_in(path).iter().for_each(|inner| collect(inner, found));
    } else if path.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.into());
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn refuse(found: impl IntoIterator<Item = String>) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "{} against the rules of style:\n  {}", found.len(), found.join("\n  "));
}
