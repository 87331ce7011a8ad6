//! All shipped specs check without a fault.
#![allow(clippy::unwrap_used)]

use segc_lang::params::Overrides;
use segc_lang::render::render;
use segc_lang::source::{LoadError, Loader};
use std::path::{Path, PathBuf};

struct Files;

impl Loader for Files {
    fn load(&self, from: &str, path: &str) -> Result<(String, String), LoadError> {
        let full: PathBuf = Path::new(from).parent().unwrap_or(Path::new("")).join(path);
        match std::fs::read_to_string(&full) {
            Ok(text) => Ok((full.to_string_lossy().into_owned(), text)),
            Err(_) => Err(LoadError::Missing(Vec::new())),
        }
    }
}

fn specs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs");
    let entries = [root.clone(), root.join("principles")].into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    paths.sort();
    assert!(paths.len() >= 10);
    paths
}

#[test]
fn every_shipped_spec_checks() {
    let mut shown = String::new();
    for path in specs() {
        let text = std::fs::read_to_string(&path).unwrap();
        let checked = segc_lang::compile(&path.to_string_lossy(), &text, &Files, &Overrides::default());
        for fault in &checked.faults {
            shown += &format!("{}\n", render(fault, &checked.modules.sources, false));
        }
    }
    assert!(shown.is_empty(), "{shown}");
}

/// Of the library a spec checks only what it reaches, so here all of it is.
#[test]
fn the_library_has_no_fault() {
    for (name, text) in segc_lang::library::MODULES {
        let (modules, mut faults) = segc_lang::modules::load(&format!("std::{name}"), text, &Files);
        faults.extend(segc_lang::check::check(&modules));
        let shown: Vec<String> = faults.iter().map(|fault| render(fault, &modules.sources, false)).collect();
        assert!(shown.is_empty(), "{name}\n{}", shown.concat());
    }
}

#[test]
fn specs_that_lack_a_word_are_met() {
    for (at, path) in specs().into_iter().enumerate() {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.to_string_lossy().into_owned();
        let cuts: Vec<usize> = text.match_indices([' ', '(', ',']).map(|(place, _)| place).collect();
        for pair in cuts.windows(2).skip(at).step_by(41) {
            let damaged = format!("{}{}", &text[..pair[0]], &text[pair[1]..]);
            let checked = segc_lang::compile(&name, &damaged, &Files, &Overrides::default());
            assert!(checked.faults.len() < 60, "{} faults behind {:?}", checked.faults.len(), &text[pair[0]..pair[1]]);
            for fault in &checked.faults {
                assert!(!render(fault, &checked.modules.sources, false).is_empty());
            }
        }
    }
}
