//! Every code that a fault can have has a page, and the examples of the pages do what they say.

use super::*;
use crate::params::Overrides;
use crate::source::{LoadError, Loader};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Codes whose cause cannot be shown in a short example.
const WITHOUT_EXAMPLES: [&str; 8] =
    ["internal", "misshapen-tensor", "missing-tensor", "no-thread", "not-finite", "too-large", "unreadable", "unusable-weights"];

/// A spec that has it passes all checks and has parts that `run` refuses.
const REFUSED: &str = "not-executable-yet";

struct Files(BTreeMap<String, String>);

impl Loader for Files {
    fn load(&self, _from: &str, path: &str) -> Result<(String, String), LoadError> {
        if path.starts_with("..") {
            return Err(LoadError::Outside);
        }
        match self.0.get(path) {
            Some(text) => Ok((path.to_string(), text.clone())),
            None => Err(LoadError::Missing(self.0.keys().cloned().collect())),
        }
    }
}

/// The fenced blocks of a page: what follows `seg` on the fence, and the text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = info.strip_prefix("seg").map(|name| (name.trim().to_string(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, text)), None) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found
}

fn overrides(text: &str) -> Overrides {
    let after = |mark: &str| text.lines().filter_map(|line| line.strip_prefix(mark)).map(str::to_string).collect::<Vec<_>>();
    let sets = after("// set: ").iter().filter_map(|set| set.split_once('=').map(|(a, b)| (a.to_string(), b.to_string()))).collect();
    Overrides { variants: after("// variant: "), sets, ..Overrides::default() }
}

#[test]
fn the_wrong_example_has_the_fault_and_the_right_one_none() {
    let mut wrong_pages = Vec::new();
    for (code, page) in PAGES.iter().filter(|(code, _)| !WITHOUT_EXAMPLES.contains(code)) {
        let blocks = blocks(page);
        let mut files: BTreeMap<String, String> = blocks.iter().filter(|(name, _)| !name.is_empty()).cloned().collect();
        let examples: Vec<&String> = blocks.iter().filter(|(name, _)| name.is_empty()).map(|(_, text)| text).collect();
        let [wrong, right] = examples.as_slice() else { panic!("{code} has {} examples", examples.len()) };
        for (text, expected) in [(wrong, true), (right, false)] {
            files.insert("page.seg".to_string(), text.to_string());
            let checked = crate::compile("page.seg", text, &Files(files.clone()), &overrides(text));
            let mut found: BTreeSet<&str> = checked.faults.iter().map(|fault| fault.code).collect();
            if *code == REFUSED && checked.spec.as_ref().is_none_or(|spec| !spec.pending.is_empty()) {
                found.insert(REFUSED);
            }
            let wanted: BTreeSet<&str> = expected.then_some(*code).into_iter().collect();
            if found != wanted {
                let shown: Vec<String> =
                    checked.faults.iter().map(|fault| crate::render::render(fault, &checked.modules.sources, false)).collect();
                wrong_pages.push(format!("{code}, {}: {found:?}\n{}", if expected { "wrong" } else { "right" }, shown.join("\n")));
            }
        }
    }
    assert!(wrong_pages.is_empty(), "{}", wrong_pages.join("\n\n"));
}

#[test]
fn every_code_of_a_fault_has_a_page() {
    let mut missing = BTreeSet::new();
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut look = |text: &str| {
        for constructor in ["Fault::error(", "Fault::warning(", "code:", "unplaced("] {
            for rest in text.split(constructor).skip(1) {
                let literal = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                missing.extend(literal.filter(|code| explain(code).is_none()).map(str::to_string));
            }
        }
    };
    for folder in ["src", "../compiler/src", "../runtime/src", "../src"] {
        visit(&home.join(folder), &mut look);
    }
    assert!(missing.is_empty(), "no page for {missing:?}");
}

fn visit(folder: &Path, look: &mut dyn FnMut(&str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, look);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("render.rs") && !path.ends_with("explain/tests.rs") {
            look(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn a_misspelt_code_gets_the_nearest() {
    assert_eq!(advice("unknwon-axis").as_deref(), Some("Did you mean `unknown-axis`?"));
}
