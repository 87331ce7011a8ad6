//! Photographs that somebody names one by one or by their folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Skipped;
use super::decode::{self, FORMATS, Promise};

/// The photographs among some files and folders, in the order in which they were named, those of a folder by their file names. A file
/// that is named twice is one photograph.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Stem and file of each; several may have one stem.
    pub files: Vec<(String, PathBuf)>,
    /// What cannot be used.
    pub skipped: Vec<Skipped>,
    seen: BTreeSet<PathBuf>,
}

impl Named {
    /// Looks at them; of files the headers are read. In folders, which are not searched in depth, pictures whose names end in one of
    /// `own` are results of ours and are left out.
    pub fn of(paths: &[PathBuf], own: &[String]) -> Named {
        let mut named = Named::default();
        for path in paths {
            if path.is_dir() { named.folder(path, own) } else { named.file(path) }
        }
        named
    }

    fn folder(&mut self, folder: &Path, own: &[String]) {
        let entries = std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>());
        let mut inside = match entries {
            Ok(inside) => inside,
            Err(cause) => return self.skip(folder, format!("the folder cannot be read ({cause})")),
        };
        inside.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        let before = self.files.len() + self.skipped.len();
        for path in inside {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match decode::promise(&path) {
                Promise::Picture if own.iter().any(|ending| name.ends_with(ending)) => {
                    self.skip(&path, "it is a result by its name; name the file itself if it is a photograph".into());
                }
                Promise::Picture => self.file(&path),
                Promise::Foreign => self.skip(&path, decode::foreign()),
                Promise::Other => {}
            }
        }
        if self.files.len() + self.skipped.len() == before {
            self.skip(folder, format!("the folder has no pictures of its own ({FORMATS}); folders inside are not searched"));
        }
    }

    fn file(&mut self, path: &Path) {
        if !path.exists() {
            return self.skip(path, "there is no such file or folder".into());
        }
        if !self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.into())) {
            return;
        }
        match decode::dimensions(path) {
            Ok(_) => self.files.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path.into())),
            Err(why) => self.skip(path, why),
        }
    }

    fn skip(&mut self, file: &Path, why: String) {
        self.skipped.push(Skipped { file: file.into(), why });
    }
}
