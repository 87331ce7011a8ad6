//! The journal of a run that is not finished: what is known of each image, one line each, so that a stopped run can continue.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::failed;
use crate::outcome::{Done, RunError};

/// All that is kept of one image.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(super) struct Entry {
    /// Number of the pass, and of the image in it.
    pub place: (usize, usize),
    /// Stem of its file.
    pub stem: String,
    /// Its mask, where the run writes one.
    pub mask: Option<MaskFile>,
    /// `eval.value` and figure; none is not a number.
    #[serde(with = "super::ordered")]
    pub values: Vec<(String, Option<f64>)>,
    /// What happened.
    pub notes: Vec<String>,
    /// What it adds to each curve.
    #[serde(with = "super::ordered")]
    pub curves: Vec<(String, Vec<Option<f32>>)>,
}

/// A mask on the disk.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(super) struct MaskFile {
    /// Relative to the run directory.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

impl Entry {
    /// What a session needs in order not to compute the image again.
    pub fn done(&self) -> Done {
        let numbers = |points: &[Option<f32>]| points.iter().map(|point| point.unwrap_or(f32::NAN)).collect();
        Done {
            pass: self.place.0,
            index: self.place.1,
            stem: self.stem.clone(),
            values: self.values.iter().map(|(name, value)| (name.clone(), value.unwrap_or(f64::NAN))).collect(),
            curves: self.curves.iter().map(|(name, points)| (name.clone(), numbers(points))).collect(),
            notes: self.notes.clone(),
        }
    }
}

/// The journal's file, open for more lines and locked against a second run.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens or makes the journal; gives the whole lines that an earlier run left. A line that was cut off is dropped, and
    /// with it everything behind it.
    pub fn open(path: &Path) -> Result<(Journal, Vec<Entry>), RunError> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = opened.map_err(|cause| failed("write", path, &cause))?;
        if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            let folder = path.parent().and_then(Path::parent).unwrap_or(path);
            let why = format!("another segc is writing to {} at this moment; wait for it or choose another --out", folder.display());
            return Err(RunError::Environment(why));
        }
        let (entries, end) = read(&file).map_err(|cause| failed("read", path, &cause))?;
        let ready = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)));
        ready.map_err(|cause| failed("write", path, &cause))?;
        Ok((Journal { path: path.into(), file }, entries))
    }

    /// Adds a line.
    pub fn add(&mut self, entry: &Entry) -> Result<(), RunError> {
        let written = serde_json::to_vec(entry).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        written.map_err(|cause| failed("write", &self.path, &cause))
    }

    /// Brings all lines to the disk.
    pub fn sync(&self) -> Result<(), RunError> {
        self.file.sync_data().map_err(|cause| failed("write", &self.path, &cause))
    }
}

fn read(file: &File) -> std::io::Result<(Vec<Entry>, u64)> {
    let mut reader = BufReader::new(file);
    let (mut entries, mut end, mut line) = (Vec::new(), 0, Vec::new());
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        let whole = line.last() == Some(&b'\n');
        match serde_json::from_slice(&line) {
            Ok(entry) if whole => entries.push(entry),
            _ => return Ok((entries, end)),
        }
        end += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn entry(index: usize) -> Entry {
        Entry {
            place: (0, index),
            stem: format!("photo {index}"),
            mask: Some(MaskFile { name: format!("masks/photo {index}.png"), sha256: "00".into() }),
            values: vec![("z.iou".into(), Some(0.1 + 0.2)), ("a.iou".into(), None)],
            notes: vec!["a \"note\"".into()],
            curves: vec![("cut[1/2].error".into(), vec![Some(0.1), None, Some(1e-20)])],
        }
    }

    #[test]
    fn lines_come_back_to_the_bit_and_a_cut_line_is_dropped() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("images.jsonl");
        let (mut journal, none) = Journal::open(&path)?;
        assert!(none.is_empty());
        journal.add(&entry(0))?;
        journal.add(&entry(1))?;
        drop(journal);
        let whole = fs::read(&path)?;
        fs::write(&path, &whole[..whole.len() - 5])?;
        let (mut journal, entries) = Journal::open(&path)?;
        assert_eq!(entries, [entry(0)]);
        journal.add(&entry(1))?;
        drop(journal);
        assert_eq!(fs::read(&path)?, whole);
        Ok(())
    }

    #[test]
    fn a_second_writer_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("images.jsonl");
        let _held = Journal::open(&path)?;
        let refused = Journal::open(&path).map(|_| ()).map_err(|error| error.to_string());
        assert!(matches!(&refused, Err(why) if why.contains("another segc")), "{refused:?}");
        Ok(())
    }
}
