//! Specs from files: what `use "path"` and `extend "path"` name, and only inside the package of the spec.
//!
//! The package of a spec is the nearest folder above it that holds `.git`; without one it is the folder above the spec's own, so that
//! `specs/principles/scale.seg` can extend `../perturbgan.seg`. What lies outside is never read.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use segc_lang::fault::{Fault, Severity};
use segc_lang::nearest;
use segc_lang::source::{LoadError, Loader};
use segc_runtime::record::PastText;

/// Largest text that is read, bytes; the parser takes no more.
const LARGEST: u64 = segc_lang::parse::LARGEST as u64;

/// Why a file is no spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such file, or it is a folder: the user names something else than a spec.
    NoFile(Fault),
    /// The file is there, but its content is no text.
    NoText(Fault),
}

impl Refusal {
    /// The fault.
    pub fn fault(&self) -> &Fault {
        match self {
            Refusal::NoFile(fault) | Refusal::NoText(fault) => fault,
        }
    }
}

/// Reads files beside a spec and remembers them.
#[derive(Debug)]
pub struct Files {
    package: PathBuf,
    read: RefCell<Vec<(String, String)>>,
}

impl Files {
    /// A loader for what the spec at `path` names.
    pub fn beside(path: &Path) -> Files {
        Files { package: package(path), read: RefCell::default() }
    }

    /// Name and text of each file that was read, in the order of reading.
    pub fn read(&self) -> Vec<(String, String)> {
        self.read.borrow().clone()
    }
}

impl Loader for Files {
    fn load(&self, from: &str, path: &str) -> Result<(String, String), LoadError> {
        let target = beside(from, path);
        let whole = target.canonicalize().or_else(|_| std::path::absolute(&target)).map(|whole| normal(&whole));
        let inside = whole.is_ok_and(|whole| whole.starts_with(&self.package));
        if Path::new(path).is_absolute() || !inside {
            return Err(LoadError::Outside);
        }
        if !target.is_file() {
            return Err(LoadError::Missing(specs_beside(&target)));
        }
        let text = text(&target).map_err(|why| LoadError::Unreadable(why.message))?;
        let name = target.display().to_string();
        self.read.borrow_mut().push((name.clone(), text.clone()));
        Ok((name, text))
    }
}

/// Texts that a run has kept, under the names that their files had.
#[derive(Debug)]
pub struct Texts<'a>(pub &'a [PastText]);

impl Loader for Texts<'_> {
    fn load(&self, from: &str, path: &str) -> Result<(String, String), LoadError> {
        let name = beside(from, path).display().to_string();
        match self.0.iter().find(|text| text.name == name) {
            Some(found) => Ok((name, found.text.clone())),
            None => Err(LoadError::Missing(self.0.iter().map(|text| text.name.clone()).collect())),
        }
    }
}

/// The text of the spec that the user names.
pub fn open(path: &Path) -> Result<String, Refusal> {
    let shown = path.display();
    if path.is_dir() {
        let inside = specs_in(path);
        let help = match inside.as_slice() {
            [] => "there is no spec in it; `segc new NAME` writes one".into(),
            names => format!("name one of the specs in it: {}", nearest::list(names)),
        };
        return Err(Refusal::NoFile(fault(format!("{shown} is a folder, not a spec"), help)));
    }
    match text(path) {
        Ok(text) => Ok(text),
        Err(why) if why.missing => Err(Refusal::NoFile(fault(why.message, missing_help(path)))),
        Err(why) => Err(Refusal::NoText(Fault { code: why.code, ..fault(why.message, why.help) })),
    }
}

/// Why a file cannot be read as text.
struct Unread {
    missing: bool,
    code: &'static str,
    message: String,
    help: String,
}

fn text(path: &Path) -> Result<String, Unread> {
    let shown = path.display();
    let unread = |missing: bool, message: String| Unread { missing, code: "unreadable", message, help: String::new() };
    let failed = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => unread(true, format!("there is no file {shown}")),
        _ => unread(true, format!("{shown} cannot be read: {cause}")),
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        let message = format!("{shown} has more than {LARGEST} bytes, which no spec has");
        let help = "name the spec itself; photographs and weights are named in it".into();
        return Err(Unread { code: "too-large", help, ..unread(false, message) });
    }
    String::from_utf8(bytes).map_err(|wrong| {
        let at = wrong.utf8_error().valid_up_to();
        let line = wrong.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("{shown} is not UTF-8: byte {at} (line {line}) is {:#04x}", wrong.as_bytes()[at]);
        Unread { help: "save it as UTF-8; specs are text".into(), ..unread(false, message) }
    })
}

fn fault(message: String, help: String) -> Fault {
    let help = Some(help).filter(|help| !help.is_empty());
    Fault { code: "unreadable", severity: Severity::Error, message, labels: Vec::new(), help }
}

fn missing_help(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = specs_beside(path);
    if let Some(near) = nearest::nearest(&name, beside.iter().map(String::as_str)) {
        return format!("Did you mean `{}`?", path.with_file_name(near).display());
    }
    match beside.as_slice() {
        [] => "`segc new NAME` writes a spec to start from".into(),
        names => format!("the specs in that folder are {}", nearest::list(names)),
    }
}

fn specs_beside(path: &Path) -> Vec<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    specs_in(folder)
}

/// Names of the specs in a folder, sorted.
fn specs_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".seg")).collect();
    names.sort();
    names
}

fn package(spec: &Path) -> PathBuf {
    let whole = spec.canonicalize().or_else(|_| std::path::absolute(spec)).unwrap_or_else(|_| spec.to_path_buf());
    let own = whole.parent().unwrap_or(Path::new("/"));
    if let Some(marked) = own.ancestors().find(|folder| folder.join(".git").exists()) {
        return marked.to_path_buf();
    }
    let above = own.parent().filter(|above| above.parent().is_some());
    above.unwrap_or(own).to_path_buf()
}

/// What a path means in the file `from`.
fn beside(from: &str, path: &str) -> PathBuf {
    normal(&Path::new(from).parent().unwrap_or(Path::new("")).join(path))
}

/// The path without `.` and, as far as names allow, without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        let after_name = matches!(out.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if after_name => drop(out.pop()),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn package_of_two() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("specs/deep")).unwrap();
        fs::write(home.path().join("specs/base.seg"), "let a = 1").unwrap();
        fs::write(home.path().join("specs/deep/mine.seg"), "extend \"../base.seg\"").unwrap();
        fs::write(home.path().join("secret.seg"), "let s = 1").unwrap();
        home
    }

    #[test]
    fn a_spec_reads_in_its_package_only() {
        let home = package_of_two();
        let mine = home.path().join("specs/deep/mine.seg");
        let files = Files::beside(&mine);
        let from = mine.display().to_string();
        let loaded = files.load(&from, "../base.seg").unwrap();
        assert_eq!(loaded, (home.path().join("specs/base.seg").display().to_string(), "let a = 1".into()));
        assert_eq!(files.load(&from, "../../secret.seg"), Err(LoadError::Outside));
        assert_eq!(files.load(&from, "../../no.seg"), Err(LoadError::Outside));
        assert_eq!(files.load(&from, "/etc/passwd"), Err(LoadError::Outside));
        assert_eq!(files.load(&from, "../bose.seg"), Err(LoadError::Missing(vec!["base.seg".into()])));
        assert_eq!(files.read().len(), 1);
        fs::create_dir(home.path().join(".git")).unwrap();
        assert!(Files::beside(&mine).load(&from, "../../secret.seg").is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_does_not_lead_out() {
        let home = package_of_two();
        let mine = home.path().join("specs/deep/mine.seg");
        std::os::unix::fs::symlink(home.path().join("secret.seg"), home.path().join("specs/link.seg")).unwrap();
        assert_eq!(Files::beside(&mine).load(&mine.display().to_string(), "../link.seg"), Err(LoadError::Outside));
    }

    #[test]
    fn texts_that_were_kept_need_no_files() {
        let kept = |name: &str| PastText { name: name.into(), text: format!("of {name}") };
        let texts = [kept("specs/deep/mine.seg"), kept("specs/base.seg")];
        assert_eq!(Texts(&texts).load("specs/deep/mine.seg", "../base.seg"), Ok(("specs/base.seg".into(), "of specs/base.seg".into())));
        assert!(matches!(Texts(&texts).load("specs/deep/mine.seg", "base.seg"), Err(LoadError::Missing(names)) if names.len() == 2));
    }

    #[test]
    fn refusals_say_what_to_do() {
        let home = package_of_two();
        let message = |path: &str| match open(&home.path().join(path)) {
            Ok(_) => String::new(),
            Err(why) => format!("{} / {}", why.fault().message, why.fault().help.as_deref().unwrap_or("")),
        };
        assert!(message("specs/bse.seg").contains("Did you mean") && message("specs/bse.seg").contains("base.seg"));
        assert!(message("specs").contains("base.seg"));
        fs::write(home.path().join("bad.seg"), b"let a = 1\nlet \xff").unwrap();
        assert!(message("bad.seg").contains("byte 14 (line 2) is 0xff"), "{}", message("bad.seg"));
        fs::write(home.path().join("large.seg"), vec![b' '; LARGEST as usize + 1]).unwrap();
        assert!(message("large.seg").contains("more than 1000000 bytes"));
    }
}
