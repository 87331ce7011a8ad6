//! Every example of the language book, the README and CONTRIBUTING.md is compiled, and does what its fence says (docs/README.md, "How
//! the examples are written"). `SEGC_DOCS=write cargo test --test docs` writes the reports below the examples anew.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use segc_lang::compile;
use segc_lang::params::Overrides;
use segc_lang::render::render;
use segc_lang::source::{LoadError, Loader};

/// Languages of fences that are no examples.
const OTHER: [&str; 5] = ["text", "sh", "json", "rust", "toml"];

/// A fenced block of a page.
struct Block {
    /// Line of its fence.
    at: usize,
    /// What stands behind the fence.
    info: String,
    text: String,
}

impl Block {
    fn flags(&self) -> Option<Vec<&str>> {
        let mut words = self.info.split(',');
        (words.next() == Some("seg")).then(|| words.collect())
    }

    fn flag(&self, name: &str) -> Option<&str> {
        self.flags()?.into_iter().find_map(|flag| flag.strip_prefix(name)?.strip_prefix('='))
    }

    fn has(&self, name: &str) -> bool {
        self.flags().is_some_and(|flags| flags.contains(&name))
    }
}

/// Files that examples of a page name.
struct Files(BTreeMap<String, String>);

impl Loader for Files {
    fn load(&self, _from: &str, path: &str) -> Result<(String, String), LoadError> {
        match self.0.get(path) {
            Some(text) => Ok((path.to_string(), text.clone())),
            None => Err(LoadError::Missing(self.0.keys().cloned().collect())),
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|end| end == "md"));
    pages.sort();
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    pages
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some(Block { at: at + 1, info: info.trim().into(), text: String::new() }),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is never closed");
    found
}

/// `// set: NAME=VALUE` and `// variant: NAME` at the start of an example.
fn overrides(text: &str) -> Overrides {
    let after = |mark: &str| text.lines().filter_map(|line| line.strip_prefix(mark)).map(str::to_string).collect::<Vec<_>>();
    let sets = after("// set: ").iter().filter_map(|set| set.split_once('=').map(|(a, b)| (a.to_string(), b.to_string()))).collect();
    Overrides { variants: after("// variant: "), sets, ..Overrides::default() }
}

fn preamble() -> String {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let found: Vec<Block> = blocks(&index).into_iter().filter(|block| block.has("preamble")).collect();
    assert_eq!(found.len(), 1, "docs/README.md has the lines before a fragment");
    found[0].text.clone()
}

/// Codes that were found, and the reports.
fn compiled(block: &Block, files: &Files, preamble: &str) -> (BTreeSet<&'static str>, String) {
    let text = if block.has("fragment") { format!("{preamble}{}", block.text) } else { block.text.clone() };
    let checked = compile("example.seg", &text, files, &overrides(&text));
    let reports: Vec<String> = checked.faults.iter().map(|fault| render(fault, &checked.modules.sources, false)).collect();
    (checked.faults.iter().map(|fault| fault.code).collect(), reports.concat())
}

/// What is wrong with a page, and its text with the reports as they are.
fn examined(name: &str, page: &str, preamble: &str) -> (Vec<String>, String) {
    let blocks = blocks(page);
    let named = blocks.iter().filter_map(|block| Some((block.flag("file")?.to_string(), block.text.clone())));
    let files = Files(named.collect());
    let (mut wrong, mut text, mut last) = (Vec::new(), page.to_string(), None::<String>);
    for block in &blocks {
        let mut say = |what: String| wrong.push(format!("{name}:{}: {what}", block.at));
        let Some(flags) = block.flags() else {
            match (block.info.as_str(), &last) {
                ("report", Some(report)) if block.text.trim_end() == report.trim_end() => {}
                ("report", Some(report)) => {
                    let (old, new) = (format!("```report\n{}```", block.text), format!("```report\n{report}```"));
                    text = text.replacen(&old, &new, 1);
                    say(format!("the report is now\n{report}"));
                }
                ("report", None) => say("a report without an example before it".into()),
                (info, _) if OTHER.contains(&info) => {}
                (info, _) => say(format!("a fence `{info}` that no test knows")),
            }
            continue;
        };
        let known = |flag: &&str| ["fragment", "preamble"].contains(flag) || flag.starts_with("fault=") || flag.starts_with("file=");
        if let Some(flag) = flags.iter().find(|flag| !known(flag)) {
            say(format!("the flag `{flag}` of a fence is not known"));
        }
        let (codes, reports) = compiled(block, &files, preamble);
        let wanted: BTreeSet<&str> = block.flag("fault").into_iter().collect();
        if codes != wanted {
            say(format!("wanted {wanted:?}, found {codes:?}\n{reports}"));
        }
        last = Some(reports);
    }
    (wrong, text)
}

#[test]
fn every_example_does_what_its_fence_says() {
    let preamble = preamble();
    let write = std::env::var("SEGC_DOCS").is_ok_and(|word| word == "write");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let (found, text) = examined(&name, &page, &preamble);
        if write && text != page {
            fs::write(&path, text).unwrap();
        }
        wrong.extend(found);
        count += blocks(&page).iter().filter(|block| block.flags().is_some()).count();
    }
    assert!(count >= 60, "only {count} examples");
    assert!(wrong.is_empty(), "{} of {count} examples\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_wrong_example_is_noticed() {
    let wrong = |page: &str| examined("page", page, "").0.len();
    assert_eq!(wrong("```seg\nlet x = 1\n```\n"), 0);
    assert_eq!(wrong("```seg\nlet x = y\n```\n"), 1);
    assert_eq!(wrong("```seg,fault=unknown-name\nlet x = 1\n```\n"), 1);
    assert_eq!(wrong("```seg,ignore\nlet x = 1\n```\n"), 1);
    assert_eq!(wrong("```\nlet x = 1\n```\n"), 1);
    assert_eq!(wrong("```seg,fault=unknown-name\nlet x = y\n```\n\n```report\nanother\n```\n"), 1);
}

#[test]
fn the_index_and_the_codes_are_complete() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for path in pages() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            !path.starts_with(root().join("docs")) || name == "README.md" || index.contains(&format!("({name})")),
            "docs/README.md does not name {name}"
        );
    }
    let page = fs::read_to_string(root().join("docs/diagnostics.md")).unwrap();
    let missing: Vec<_> = segc_lang::explain::codes().filter(|code| !page.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "docs/diagnostics.md does not list {missing:?}");
}

#[test]
fn the_library_page_names_every_public_function() {
    let page = fs::read_to_string(root().join("docs/library.md")).unwrap();
    let mut missing = Vec::new();
    for (module, text) in segc_lang::library::MODULES {
        let words = ["builtin host fn ", "builtin fn ", "fn ", "net "];
        for line in text.lines() {
            let Some(rest) = words.iter().find_map(|word| line.strip_prefix(word)) else { continue };
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let shown = if *module == "prelude" { format!("`{name}(") } else { format!("`{module}::{name}(") };
            if !name.starts_with('_') && !page.contains(&shown) {
                missing.push(shown);
            }
        }
    }
    assert!(missing.is_empty(), "docs/library.md lacks {missing:?}");
}
