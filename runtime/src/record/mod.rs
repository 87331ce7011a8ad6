//! The run directory and the report, made from what a run finds and nothing else.
//!
//! While a run goes on, `unfinished/` holds a journal and the pictures so far; masks, `checkpoints/`, `pictures/` of training and its
//! lines of `metrics.jsonl` are final as soon as they exist. At the end,
//! or when a signal stops the run, `metrics.jsonl`, `grid.png`, `report.html` and, last, `summary.json` are written. No file holds
//! times or anything else that differs between equal runs, but for `run.json`, which names the number of threads.

mod chart;
pub(crate) mod folder;
pub(crate) mod identity;
mod journal;
pub(crate) mod names;
pub(crate) mod ordered;
mod past;
pub(crate) mod pictures;
mod report;
mod summary;
mod table;
mod training;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::{ExtendedColorType, GrayImage};
use sha2::{Digest, Sha256};

use crate::data::place;
use crate::outcome::{Done, Found, Outcome, PICTURES, RunError};
use crate::train::log::Record;
pub use chart::{Line, chart};
use folder::{Care, failed};
pub use identity::{Identity, Text};
use journal::{Entry, Journal, MaskFile};
use names::Names;
pub use past::{Past, PastAbout, PastSpec, PastText};
pub use report::{escape, page};
pub use summary::Summary;
pub use table::{Table, figure};

/// What `run.json` and the report say of a run beyond its results.
#[derive(Clone, Debug)]
pub struct About {
    /// What decides the results.
    pub identity: Identity,
    /// The variants asked for.
    pub variants: Vec<String>,
    /// Params that were asked for, with their values as they were written.
    pub sets: Vec<(String, String)>,
    /// How many threads compute.
    pub threads: usize,
    /// What a reader of the report must know: labels let through by `oracle`, data without a split.
    pub remarks: Vec<String>,
}

/// What was found at the place of a run.
#[derive(Debug)]
pub enum Opened {
    /// Something is to be computed.
    Ready(Box<Recorder>),
    /// The same run was done there before, to its end, and all its files are whole.
    Complete(Summary),
}

/// Writes a run directory while the run goes on.
#[derive(Debug)]
pub struct Recorder {
    out: PathBuf,
    about: About,
    journal: Journal,
    /// Whether the folder was made by this run.
    made: bool,
    /// What an earlier run found, by pass and number of the image.
    earlier: BTreeMap<(usize, usize), Entry>,
    /// Lines of `metrics.jsonl` so far, by pass and number of the image.
    lines: BTreeMap<(usize, usize), String>,
    /// Names of masks that are taken.
    names: Names,
    pictures: Vec<Picture>,
    /// What the training said so far.
    training: Vec<Record>,
}

/// A strip of the report.
#[derive(Debug)]
struct Picture {
    stem: String,
    caption: Option<String>,
    truth: bool,
    png: Vec<u8>,
}

impl Recorder {
    /// Opens the folder `out` for the run. A folder that holds the same run is continued, one that holds anything else is refused
    /// (`Usage`) unless `overwrite`, which removes the files of the run that was there and no others.
    pub fn open(out: &Path, about: About, overwrite: bool) -> Result<Opened, RunError> {
        let made = !out.exists();
        folder::make(out)?;
        if overwrite {
            clear(out)?;
        } else if let Some(summary) = inspect(out, &about.identity)? {
            // A run killed after its summary, its very last file, leaves the journal behind.
            folder::remove(&out.join(UNFINISHED))?;
            return Ok(Opened::Complete(summary));
        }
        // First of all, because a folder without it is refused as foreign.
        folder::write(&out.join(RUN), summary::run_json(&about).as_bytes(), Care::Durable).inspect_err(|_| {
            if made {
                let _ = std::fs::remove_dir(out);
            }
        })?;
        folder::make(&out.join(MASKS))?;
        folder::make(&out.join(UNFINISHED))?;
        let (journal, entries) = Journal::open(&out.join(UNFINISHED).join("images.jsonl"))?;
        let mut recorder = Recorder {
            out: out.into(),
            about,
            journal,
            made,
            earlier: BTreeMap::new(),
            lines: BTreeMap::new(),
            names: Names::default(),
            pictures: Vec::new(),
            training: Vec::new(),
        };
        recorder.take_over(entries);
        Ok(Opened::Ready(Box::new(recorder)))
    }

    /// What decides the run's results.
    pub fn identity(&self) -> &Identity {
        &self.about.identity
    }

    /// What an earlier run into this folder found, for the session to keep.
    pub fn done(&self) -> Vec<Done> {
        self.earlier.values().map(Entry::done).collect()
    }

    /// Records an image that an earlier run did.
    pub fn kept(&mut self, pass: usize, index: usize) -> Result<(), RunError> {
        let Some(entry) = self.earlier.remove(&(pass, index)) else {
            return Err(RunError::Environment(format!("image {index} was to be kept, but {} does not hold it", self.out.display())));
        };
        if entry.mask.is_some()
            && self.pictures.len() < PICTURES
            && let Ok(png) = std::fs::read(self.strip_path(index))
        {
            self.add_picture(&entry, png);
        }
        self.lines.insert(entry.place, summary::line(&entry));
        Ok(())
    }

    /// Records an image: its mask, if it has one, at once and under its final name.
    pub fn found(&mut self, found: &Found) -> Result<(), RunError> {
        let mut entry = Entry {
            place: (found.pass, found.index),
            stem: found.stem.clone(),
            mask: None,
            values: found.values.iter().map(|(name, value)| (name.clone(), value.is_finite().then_some(*value))).collect(),
            notes: found.notes.clone(),
            curves: found.curves.iter().map(|(name, points)| (name.clone(), finite(points))).collect(),
        };
        if !found.mask.is_empty() {
            let mask = place(&found.mask, found.size, &found.frame);
            entry.mask = Some(self.write_mask(&found.stem, &mask)?);
            if self.pictures.len() < PICTURES {
                let png = self.write_strip(found, &mask)?;
                self.add_picture(&entry, png);
            }
        }
        self.journal.add(&entry)?;
        self.lines.insert(entry.place, summary::line(&entry));
        Ok(())
    }

    /// Writes everything else; gives the path of the report. After a stopped run the journal stays, so that it can be continued.
    pub fn finish(self, outcome: &Outcome) -> Result<PathBuf, RunError> {
        self.journal.sync()?;
        let metrics: String = std::iter::once(self.training_lines())
            .chain(self.lines.values().cloned())
            .chain(summary::curve_lines(&outcome.curves))
            .collect();
        folder::write(&self.out.join(METRICS), metrics.as_bytes(), Care::Durable)?;
        let strips = self.pictures.iter().filter_map(|one| image::load_from_memory(&one.png).ok()).map(|strip| strip.to_rgba8());
        let grid = pictures::grid(&strips.collect::<Vec<_>>(), &self.newest_pictures());
        let path = self.out.join(GRID);
        let png = pictures::png(&grid, grid.width(), grid.height(), ExtendedColorType::Rgb8);
        folder::write(&path, &png.map_err(|cause| unwritten(&path, cause))?, Care::Durable)?;
        let report = self.out.join(REPORT);
        folder::write(
            &report,
            report::html(&self.about, outcome, &self.pictures, &training::html(&self.out, &self.training)).as_bytes(),
            Care::Durable,
        )?;
        let summary = Summary::new(&self.about.identity, outcome);
        folder::write(&self.out.join(SUMMARY), summary.json().as_bytes(), Care::Durable)?;
        if !outcome.stopped {
            drop(self.journal);
            folder::remove(&self.out.join(UNFINISHED))?;
        }
        Ok(report)
    }

    /// Writes the report as far as there is something to say: somebody may want to look while a run goes on.
    pub fn draft(&self) -> Result<(), RunError> {
        let outcome = Outcome { stopped: true, ..Outcome::default() };
        let page = report::html(&self.about, &outcome, &self.pictures, &training::html(&self.out, &self.training));
        folder::write(&self.out.join(REPORT), page.as_bytes(), Care::Quick)
    }

    /// Gives the run up: what was found stays for a later run; a folder in which nothing was found is removed again.
    pub fn abandon(self) -> Result<(), RunError> {
        if !self.lines.is_empty() || !self.earlier.is_empty() || self.out.join(CHECKPOINTS).exists() {
            return self.journal.sync();
        }
        drop(self.journal);
        clear(&self.out)?;
        if self.made {
            // Fails if something else was put there meanwhile, which then stays.
            let _ = std::fs::remove_dir(&self.out);
        }
        Ok(())
    }

    /// Keeps the entries whose files are whole.
    fn take_over(&mut self, entries: Vec<Entry>) {
        let mut masks = 0;
        for (place, entry) in entries.into_iter().map(|entry| (entry.place, entry)).collect::<BTreeMap<_, _>>() {
            if let Some(mask) = &entry.mask {
                masks += 1;
                let pictured = masks > PICTURES || self.strip_path(place.1).is_file();
                if !pictured || !whole(&self.out.join(&mask.name), &mask.sha256) {
                    continue;
                }
                self.names.take(&mask.name);
            }
            self.earlier.insert(place, entry);
        }
    }

    fn write_mask(&mut self, stem: &str, mask: &GrayImage) -> Result<MaskFile, RunError> {
        // One name is asked for and given.
        let name = self.names.free(stem, |stem| vec![format!("{MASKS}/{stem}.png")]).remove(0);
        let path = self.out.join(&name);
        let png = pictures::png(mask, mask.width(), mask.height(), ExtendedColorType::L8).map_err(|cause| unwritten(&path, cause))?;
        folder::write(&path, &png, Care::Quick)?;
        Ok(MaskFile { name, sha256: identity::hex(&Sha256::digest(&png)) })
    }

    fn write_strip(&self, found: &Found, mask: &GrayImage) -> Result<Vec<u8>, RunError> {
        let truth = found.label.as_ref().map(|label| place(label, found.size, &found.frame));
        let strip = match &found.photo {
            Some(photo) if photo.dimensions() == mask.dimensions() => pictures::strip(photo, mask, truth.as_ref()),
            _ => pictures::sample_strip(found),
        };
        let path = self.strip_path(found.index);
        let png =
            pictures::png(&strip, strip.width(), strip.height(), ExtendedColorType::Rgba8).map_err(|cause| unwritten(&path, cause))?;
        folder::write(&path, &png, Care::Quick)?;
        Ok(png)
    }

    fn strip_path(&self, index: usize) -> PathBuf {
        self.out.join(UNFINISHED).join(format!("{index}.png"))
    }

    fn add_picture(&mut self, entry: &Entry, png: Vec<u8>) {
        let shown = entry.values.iter().find(|(name, _)| name.ends_with("iou")).or(entry.values.first());
        let caption = shown.map(|(name, value)| format!("{name} {}", figure(*value)));
        let truth = pictures::has_truth(&png);
        self.pictures.push(Picture { stem: entry.stem.clone(), caption, truth, png });
    }
}

const RUN: &str = "run.json";
const METRICS: &str = "metrics.jsonl";
const SUMMARY: &str = "summary.json";
const MASKS: &str = "masks";
const GRID: &str = "grid.png";
const REPORT: &str = "report.html";
const UNFINISHED: &str = "unfinished";
const PICTURE_FOLDER: &str = "pictures";
const CHECKPOINTS: &str = crate::checkpoint::FOLDER;

/// All names of a run directory; the summary first, because it says that the others are whole.
const OWN: [&str; 9] = [SUMMARY, REPORT, GRID, METRICS, MASKS, PICTURE_FOLDER, CHECKPOINTS, UNFINISHED, RUN];

fn clear(out: &Path) -> Result<(), RunError> {
    OWN.iter().try_for_each(|name| folder::remove(&out.join(name)))
}

/// Refuses a folder that holds something else; gives the summary if the same run was completed there.
fn inspect(out: &Path, identity: &Identity) -> Result<Option<Summary>, RunError> {
    let ways = "Choose another folder with --out DIR, or replace what is there with --overwrite.";
    let path = out.join(RUN);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return foreign(out, ways).map(|()| None),
        Err(cause) => return Err(failed("read", &path, &cause)),
    };
    let run = serde_json::from_slice(&text).unwrap_or_default();
    let differences = identity.differences(&run);
    if !differences.is_empty() {
        return Err(RunError::Usage(format!("{} holds another run: {}. {ways}", out.display(), differences.join("; "))));
    }
    Ok(Summary::read(&out.join(SUMMARY)).filter(|summary| summary.complete && files_whole(out, summary)))
}

/// Refuses a folder that is not empty and holds no run.
fn foreign(out: &Path, ways: &str) -> Result<(), RunError> {
    let entries = std::fs::read_dir(out).map_err(|cause| failed("read", out, &cause))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    match names.filter(|name| !name.ends_with(".part")).min() {
        None => Ok(()),
        Some(name) => Err(RunError::Usage(format!("{} is not empty ({name}) and holds no run. {ways}", out.display()))),
    }
}

fn files_whole(out: &Path, summary: &Summary) -> bool {
    let Ok(metrics) = std::fs::read_to_string(out.join(METRICS)) else { return false };
    let lines = metrics.lines().count() >= summary.images;
    let mut masks = metrics.lines().filter_map(summary::mask_of);
    lines && out.join(GRID).is_file() && out.join(REPORT).is_file() && masks.all(|(mask, hash)| whole(&out.join(mask), &hash))
}

/// Whether a file is there with the content that was written.
fn whole(path: &Path, sha256: &str) -> bool {
    std::fs::read(path).is_ok_and(|bytes| identity::hex(&Sha256::digest(bytes)) == sha256)
}

fn unwritten(path: &Path, cause: image::ImageError) -> RunError {
    failed("write", path, &std::io::Error::other(cause))
}

fn finite(points: &[f32]) -> Vec<Option<f32>> {
    points.iter().map(|point| point.is_finite().then_some(*point)).collect()
}

#[cfg(test)]
mod tests;
