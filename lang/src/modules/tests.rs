//! Tests of joining files.

use super::{ModuleId, Modules, load};
use crate::fault::Fault;
use crate::source::{LoadError, Loader};
use std::collections::BTreeMap;

/// Files in memory; all names are relative to one folder.
struct Files(BTreeMap<&'static str, &'static str>);

impl Loader for Files {
    fn load(&self, _from: &str, path: &str) -> Result<(String, String), LoadError> {
        if path.starts_with("../..") {
            return Err(LoadError::Outside);
        }
        let name = path.trim_start_matches("./");
        if name == "locked.seg" {
            return Err(LoadError::Unreadable("permission denied".to_owned()));
        }
        match self.0.get(name) {
            Some(text) => Ok((name.to_owned(), (*text).to_owned())),
            None => Err(LoadError::Missing(self.0.keys().map(|&key| key.to_owned()).collect())),
        }
    }
}

fn joined(files: &[(&'static str, &'static str)]) -> (Modules, Vec<Fault>) {
    load(files[0].0, files[0].1, &Files(files.iter().copied().collect()))
}

fn lines(modules: &Modules, faults: &[Fault]) -> String {
    let mut all = String::new();
    for fault in faults {
        all += &format!("{}: {}\n", fault.code, fault.message);
        for (span, label) in &fault.labels {
            let (line, column) = modules.sources.line_column(*span);
            all += &format!("  {}:{line}:{column} {label}\n", modules.sources.get(span.source).name);
        }
        all += &fault.help.as_ref().map_or(String::new(), |help| format!("  help: {help}\n"));
    }
    all
}

fn report(files: &[(&'static str, &'static str)]) -> String {
    let (modules, faults) = joined(files);
    lines(&modules, &faults)
}

fn where_is(modules: &Modules, from: ModuleId, path: &str) -> Option<String> {
    let (_, tree, _) = {
        let mut sources = crate::source::Sources::default();
        let id = sources.add("path", format!("use {path}"));
        let (file, faults) = crate::parse::parse(&sources, id);
        (sources, file, faults)
    };
    let crate::syntax::ItemKind::Use(uses) = tree.items[0].kind() else { panic!("{path}") };
    let crate::syntax::UseTarget::Module(path) = &uses[0].target else { panic!("{path}") };
    let items = modules.find_path(from, path)?;
    Some(format!("{} {}", modules.module(items[0].module).name, modules.sources.slice(modules.item(items[0]).span)))
}

#[test]
fn names_are_found_through_uses_and_prelude() {
    let (modules, faults) = joined(&[
        ("a.seg", "use std::mask, \"./b.seg\" as b, std::nn as layers\nlet sqrt = 1\nlet d[0] = 1\nlet d[i in 1..3] = 2"),
        ("b.seg", "let _hidden = 1\nlet open = _hidden"),
    ]);
    assert_eq!(lines(&modules, &faults), "");
    let find = |path: &str| where_is(&modules, modules.root, path);
    assert!(find("mask::full").unwrap().starts_with("std::mask fn full"));
    assert!(find("layers::conv").unwrap().starts_with("std::nn net conv"));
    assert!(find("relu").unwrap().starts_with("std::prelude fn relu"));
    assert_eq!(find("sqrt").unwrap(), "a.seg let sqrt = 1");
    assert_eq!(find("b::open").unwrap(), "b.seg let open = _hidden");
    assert_eq!(find("b::_hidden"), None);
    assert_eq!(find("b::relu"), None);
    assert_eq!(find("nn::conv"), None);
    assert_eq!(modules.find(modules.root, "d").unwrap().len(), 2);
    assert!(modules.find(modules.prelude, "height").is_some());
}

#[test]
fn a_file_extends_a_file_that_extends() {
    let (modules, faults) = joined(&[
        ("c.seg", "extend \"b.seg\" with shifted = scaled, n = 4\nlet scaled = 3"),
        ("b.seg", "extend \"a.seg\"\nlet more = shifted"),
        ("a.seg", "use std::mask\nparam n = 1\nlet shifted = 1\nlet seen = shifted"),
    ]);
    assert_eq!(lines(&modules, &faults), "");
    let base = *modules.base.get(&modules.root).unwrap();
    let first = *modules.base.get(&base).unwrap();
    for from in [modules.root, base, first] {
        assert_eq!(where_is(&modules, from, "shifted").unwrap(), "c.seg let scaled = 3");
        assert!(where_is(&modules, from, "mask::full").is_some());
    }
    assert_eq!(where_is(&modules, modules.root, "n").unwrap(), "a.seg param n = 1");
    let set = modules.replacement(first, "n").unwrap();
    assert_eq!(modules.of_source(set.value.span.source), Some(modules.root));
    assert_eq!(modules.find(first, "scaled"), None);
}

#[test]
fn names_put_in_the_place_of_each_other_do_not_hang() {
    let (modules, _) = joined(&[("b.seg", "extend \"a.seg\" with x = y, y = x, z = z"), ("a.seg", "let x = 1\nlet y = 2\nlet z = 3")]);
    assert!(["x", "y", "z"].iter().all(|name| modules.find(modules.root, name).is_some()));
}

#[test]
fn slips_between_files_are_explained() {
    let cases: [&[(&'static str, &'static str)]; 14] = [
        &[("a.seg", "use std::masks, mask, std::prelude, std::nothing::at")],
        &[("a.seg", "use \"./mine.seg\" as mine"), ("nine.seg", "")],
        &[("a.seg", "use \"../../b.seg\" as b")],
        &[("a.seg", "extend \"locked.seg\"")],
        &[("a.seg", "use \"b.seg\" as b"), ("b.seg", "use \"c.seg\" as c"), ("c.seg", "\nuse \"a.seg\" as a")],
        &[("a.seg", "extend \"a.seg\"")],
        &[("a.seg", "extend \"b.seg\""), ("b.seg", "use \"a.seg\" as a")],
        &[("a.seg", "let x = 1\nparam x = 2")],
        &[("a.seg", "let d[0] = 1\nlet d = 2\naxis one, one")],
        &[("a.seg", "use std::mask, std::nn as mask")],
        &[("a.seg", "extend \"b.seg\" with shiftd = y, shifted.front = y\nlet y = 1"), ("b.seg", "let shifted = 1")],
        &[("a.seg", "extend \"b.seg\"\nlet shifted = 2"), ("b.seg", "let shifted = 1")],
        &[("a.seg", "extend \"b.seg\"\nextend \"b.seg\""), ("b.seg", "")],
        &[("a.seg", "output masks = x over y\noutput masks = z over y\neval masks = 1")],
    ];
    let mut all = String::new();
    for files in cases {
        let found = report(files);
        assert!(!found.is_empty(), "{files:?}");
        all += &format!("== {}\n{found}\n", files[0].1.replace('\n', " / "));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn names_of_broken_items_are_known() {
    let (modules, faults) = joined(&[("a.seg", "parm x = 1\nlet y = (\nfrozen model z = +\nv = 2\nbuiltin host fn w(\n")]);
    assert_eq!(faults.len(), 5);
    for name in ["x", "y", "z", "w", "v"] {
        assert!(modules.find(modules.root, name).is_some(), "{name}");
    }
}

#[test]
fn the_library_joins_without_a_fault() {
    for (name, _) in crate::library::MODULES {
        let text = format!("use std::{name}");
        let (modules, faults) = load("a.seg", &text, &Files(BTreeMap::new()));
        assert!(faults.is_empty() || *name == "prelude", "{name}\n{}", lines(&modules, &faults));
    }
}

/// Reads the shipped specs.
struct Shipped;

impl Loader for Shipped {
    fn load(&self, from: &str, path: &str) -> Result<(String, String), LoadError> {
        let mut name = std::path::PathBuf::from(from);
        name.pop();
        for part in path.split('/').filter(|part| *part != ".") {
            match part {
                ".." => assert!(name.pop()),
                _ => name.push(part),
            }
        }
        let text = std::fs::read_to_string(&name).map_err(|why| LoadError::Unreadable(why.to_string()))?;
        Ok((name.display().to_string(), text))
    }
}

#[test]
fn the_shipped_specs_join() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/");
    for spec in
        ["iem", "iem_net", "redo", "perturbgan", "move", "kdd", "sg2seg", "principles/scale", "principles/swap", "principles/recolour"]
    {
        let name = format!("{root}{spec}.seg");
        let text = std::fs::read_to_string(&name).unwrap();
        let (modules, faults) = load(&name, &text, &Shipped);
        assert!(faults.is_empty(), "{}", lines(&modules, &faults));
    }
}
