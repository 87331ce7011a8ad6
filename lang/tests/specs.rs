//! All shipped specs check without a fault.

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

#[test]
fn every_shipped_spec_checks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs");
    let mut shown = String::new();
    for folder in [root.clone(), root.join("principles")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|end| end != "seg") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let checked = segc_lang::compile(&path.to_string_lossy(), &text, &Files, &Overrides::default());
            for fault in &checked.faults {
                shown += &format!("{}\n", render(fault, &checked.modules.sources, false));
            }
        }
    }
    assert!(shown.is_empty(), "{shown}");
}
