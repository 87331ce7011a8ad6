//! Machine code of cards, kept between runs by the hash of all that it is made of. What is not there, not whole or cannot be written is
//! compiled anew; nothing here is an error of a run.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::record::folder::{self, Care};
use crate::record::identity::hex;

/// Bytes of a hash.
const HASH: usize = 32;

/// What stands for the machine code of a text, compiled by this version with these options.
pub(super) fn key(source: &str, options: &[String], version: (i32, i32)) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{} {version:?} {options:?}\n", crate::VERSION));
    hash.update(source);
    hex(&hash.finalize())
}

/// `$XDG_CACHE_HOME/segc/cubin`, or `.cache/segc/cubin` in the home folder; none where neither is named.
pub(super) fn folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    Some(named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?.join("segc").join("cubin"))
}

/// What was kept; none if there is nothing, or it is not whole.
pub(super) fn find(folder: &Path, key: &str) -> Option<Vec<u8>> {
    let file = std::fs::read(path(folder, key)).ok()?;
    let (hash, image) = file.split_at_checked(HASH)?;
    (Sha256::digest(image).as_slice() == hash).then(|| image.to_vec())
}

/// Keeps machine code, if it can be written.
pub(super) fn keep(folder: &Path, key: &str, image: &[u8]) {
    let path = path(folder, key);
    let file: Vec<u8> = Sha256::digest(image).iter().chain(image).copied().collect();
    let Some(parent) = path.parent() else { return };
    let _ = folder::make(parent).and_then(|()| folder::write(&path, &file, Care::Quick));
}

fn path(folder: &Path, key: &str) -> PathBuf {
    folder.join(&key[..2]).join(format!("{key}.cubin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_not_found() {
        let home = tempfile::tempdir().unwrap();
        let key = key("text", &["--x".into()], (13, 0));
        assert_ne!(key, super::key("text", &["--y".into()], (13, 0)));
        assert_eq!(find(home.path(), &key), None);
        keep(home.path(), &key, b"machine code");
        assert_eq!(find(home.path(), &key).as_deref(), Some(b"machine code".as_slice()));
        let path = path(home.path(), &key);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.pop();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(find(home.path(), &key), None);
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(find(home.path(), &key), None);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_error() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        keep(&file, &key("text", &[], (13, 0)), b"machine code");
        assert!(file.is_file());
    }
}
