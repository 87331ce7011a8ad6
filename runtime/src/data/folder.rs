//! A folder of photographs, perhaps with a folder of masks of the same stems.
//!
//! Folders are not searched in depth; photographs are sorted by file name. Opening reads headers only; pixels are decoded when a
//! sample is asked for, from any thread. What cannot be used is named, never dropped silently: where masks are given, a
//! photograph without mask, a mask without photograph and a pair of unequal sizes are left out, so that every sample has both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{DynamicImage, Primitive};
use segc_lang::spec::{Data, Part, Step};

use super::decode::{self, FORMATS, Promise};
use super::field::{Field, Values};
use super::pipeline::{Cut, Prepared, fixed};
use super::split::Split;
use super::{DataSet, Skipped};
use crate::outcome::RunError;

/// The data set of one or two folders. Without a split all parts are the whole set.
#[derive(Clone, Debug)]
pub struct Folder {
    data: Data,
    entries: Vec<Entry>,
    /// Numbers of the entries for training, validation and test.
    parts: Option<[Vec<usize>; 3]>,
    has_labels: bool,
    skipped: Vec<Skipped>,
}

#[derive(Clone, Debug)]
struct Entry {
    stem: String,
    photo: PathBuf,
    mask: Option<PathBuf>,
}

/// What lies in a folder.
#[derive(Default)]
struct Listing {
    /// Pictures by stem, with width and height.
    pictures: BTreeMap<String, (PathBuf, (u32, u32))>,
    skipped: Vec<Skipped>,
    /// Names of other files and of folders, for messages.
    others: Vec<String>,
}

impl Folder {
    /// Opens the folders of a data item, and the text that divides them.
    ///
    /// # Errors
    /// [`RunError::Data`] if a folder is missing or holds nothing of use, with what was found instead and what to do.
    pub fn open(data: &Data, photos: &str, labels: Option<&str>, split: Option<&str>) -> Result<Folder, RunError> {
        let photos = Path::new(photos);
        let listing = Listing::read(photos, "photos").map_err(|why| fault(data, why))?;
        let split = split.map(|file| Split::read(Path::new(file))).transpose().map_err(|why| fault(data, why))?;
        let mut set =
            Folder { data: data.clone(), entries: Vec::new(), parts: None, has_labels: labels.is_some(), skipped: listing.skipped };
        match labels.map(Path::new) {
            None => set.entries = listing.pictures.into_iter().map(|(stem, (photo, _))| Entry { stem, photo, mask: None }).collect(),
            Some(labels) => {
                let masks = Listing::read(labels, "labels").map_err(|why| fault(data, why))?;
                if !listing.pictures.keys().any(|stem| masks.pictures.contains_key(stem)) {
                    return Err(fault(data, unlike(photos, &listing.pictures, labels, &masks.pictures)));
                }
                set.skipped.extend(masks.skipped);
                set.pair(listing.pictures, masks.pictures);
            }
        }
        set.entries.sort_by(|a, b| a.photo.file_name().cmp(&b.photo.file_name()));
        if set.entries.is_empty() {
            let first = set.skipped.first().map(|skipped| format!("{}: {}", skipped.file.display(), skipped.why)).unwrap_or_default();
            return Err(fault(data, format!("no picture of `{}` can be used; the first: {first}", photos.display())));
        }
        if let Some(split) = split {
            set.divide(split).map_err(|why| fault(data, why))?;
        }
        Ok(set)
    }

    /// The data set of single photographs without masks, each with its stem, in their order.
    pub fn of_files(data: &Data, files: Vec<(String, PathBuf)>) -> Folder {
        let entries = files.into_iter().map(|(stem, photo)| Entry { stem, photo, mask: None }).collect();
        Folder { data: data.clone(), entries, parts: None, has_labels: false, skipped: Vec::new() }
    }

    fn divide(&mut self, split: Split) -> Result<(), String> {
        let stems: Vec<&str> = self.entries.iter().map(|entry| entry.stem.as_str()).collect();
        let divided = split.divide(&stems)?;
        self.parts = Some(divided.parts);
        self.skipped.extend(divided.skipped);
        Ok(())
    }

    fn pair(&mut self, photos: BTreeMap<String, (PathBuf, (u32, u32))>, mut masks: BTreeMap<String, (PathBuf, (u32, u32))>) {
        for (stem, (photo, size)) in photos {
            match masks.remove(&stem) {
                Some((mask, found)) if found == size => self.entries.push(Entry { stem, photo, mask: Some(mask) }),
                Some((mask, found)) => self.skipped.push(Skipped { why: sizes_differ(&photo, size, found), file: mask }),
                None => {
                    let why = format!("there is no mask named `{stem}`; add one, or run without labels to segment it too");
                    self.skipped.push(Skipped { file: photo, why });
                }
            }
        }
        for (stem, (file, _)) in masks {
            self.skipped.push(Skipped { file, why: format!("there is no photograph named `{stem}` for this mask") });
        }
    }

    fn entry(&self, part: Part, index: usize) -> Result<&Entry, Skipped> {
        let number = match self.divided(part) {
            Some(numbers) => numbers.get(index).copied(),
            None => Some(index),
        };
        let entry = number.and_then(|number| self.entries.get(number));
        entry.ok_or_else(|| Skipped { file: PathBuf::new(), why: format!("there is no photograph {index}") })
    }

    /// The numbers of a part; none for all.
    fn divided(&self, part: Part) -> Option<&[usize]> {
        let [train, valid, test] = self.parts.as_ref()?;
        match part {
            Part::Whole => None,
            Part::Train => Some(train),
            Part::Valid => Some(valid),
            Part::Test => Some(test),
        }
    }

    fn cut(&self, entry: &Entry) -> Result<Prepared, Skipped> {
        let skip = |file: &Path| {
            let file = file.to_path_buf();
            move |why| Skipped { file, why }
        };
        let photo = decode::photo(&entry.photo).map_err(skip(&entry.photo))?;
        let mask = entry.mask.as_ref().map(|file| decode::mask(file).map_err(skip(file))).transpose()?;
        let size = (photo.width(), photo.height());
        if let (Some(file), Some(mask)) = (&entry.mask, &mask)
            && mask.dimensions() != size
        {
            return Err(skip(file)(sizes_differ(&entry.photo, size, mask.dimensions())));
        }
        let pixels = Some((size.1 as usize, size.0 as usize));
        let label = mask.map(|mask| ("label".to_owned(), Field { values: Values::Bytes(mask.into_raw()), pixels }));
        let fields = [("image".to_owned(), Field { values: planes(photo), pixels })].into_iter().chain(label).collect();
        let whole = Prepared { stem: entry.stem.clone(), fields, cut: Cut::whole(size.0 as usize, size.1 as usize), photo: size };
        self.through(whole).map_err(skip(&entry.photo))
    }

    /// The steps before the first random one; the others must be possible and lead to the size of the data item.
    fn through(&self, whole: Prepared) -> Result<Prepared, String> {
        let (first, rest) = self.data.steps.split_at(fixed(&self.data.steps).len());
        let prepared = first.iter().try_fold(whole, |sample, step| sample.after(step, None))?;
        let end = rest.iter().try_fold(prepared.cut, |cut, step| cut.after(step))?;
        let (height, width) = self.data.size;
        if end.pixels == (width, height) {
            return Ok(prepared);
        }
        let (w, h) = end.pixels;
        Err(format!("the pipeline makes {w} x {h} pixels of it, not {width} x {height}; end its geometry with `center_crop`"))
    }
}

/// Red, green and blue apart, 8 bits as they are, more as 0 to 1.
fn planes(photo: DynamicImage) -> Values {
    match photo {
        DynamicImage::ImageRgb8(photo) => Values::Bytes(apart(photo.as_raw())),
        other => Values::Floats(apart(other.to_rgb32f().as_raw())),
    }
}

fn apart<T: Primitive>(pixels: &[T]) -> Vec<T> {
    [0, 1, 2].into_iter().flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied()).collect()
}

impl DataSet for Folder {
    fn len(&self, part: Part) -> usize {
        self.divided(part).map_or(self.entries.len(), <[usize]>::len)
    }

    fn has(&self, field: &str) -> bool {
        field == "image" || field == "label" && self.has_labels
    }

    fn steps(&self) -> &[Step] {
        &self.data.steps
    }

    fn prepared(&self, part: Part, index: usize) -> Result<Arc<Prepared>, Skipped> {
        self.cut(self.entry(part, index)?).map(Arc::new)
    }

    fn photo(&self, part: Part, index: usize) -> Result<image::RgbImage, Skipped> {
        let entry = self.entry(part, index)?;
        decode::photo(&entry.photo).map(|photo| photo.into_rgb8()).map_err(|why| Skipped { file: entry.photo.clone(), why })
    }

    fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

impl Listing {
    /// The pictures of a folder with readable headers; `param` names the folder in messages.
    fn read(folder: &Path, param: &str) -> Result<Listing, String> {
        let failed = |error: std::io::Error| absent(folder, param, &error);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
        paths.sort();
        let mut listing = Listing::default();
        let promising = paths.into_iter().filter(|path| listing.promising(path)).collect::<Vec<_>>();
        promising.iter().for_each(|path| listing.take(path));
        if promising.is_empty() && listing.skipped.is_empty() {
            return Err(listing.nothing(folder, param));
        }
        if listing.pictures.is_empty() {
            return Err(listing.nothing_usable(folder, param));
        }
        Ok(listing)
    }

    fn promising(&mut self, path: &Path) -> bool {
        let promise = decode::promise(path);
        match promise {
            Promise::Picture => {}
            Promise::Foreign => {
                self.skipped.push(Skipped { file: path.to_path_buf(), why: decode::foreign() });
            }
            Promise::Other => self.others.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned()),
        }
        promise == Promise::Picture
    }

    fn take(&mut self, path: &Path) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let first = self.pictures.get(&stem).map(|(first, _)| first.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let found = match first {
            Some(first) => Err(format!("it has the same stem as `{first}`, which is taken; rename one")),
            None => decode::dimensions(path),
        };
        match found {
            Ok(size) => drop(self.pictures.insert(stem, (path.to_path_buf(), size))),
            Err(why) => self.skipped.push(Skipped { file: path.to_path_buf(), why }),
        }
    }

    fn nothing(&self, folder: &Path, param: &str) -> String {
        let found = match self.others.len() {
            0 => "it is empty".to_string(),
            count => format!("found are only {} ({count} in all; folders inside are not searched)", examples(&self.others)),
        };
        let folder = folder.display();
        format!("the folder `{folder}` has no pictures: {found}. Set `{param}` to the folder that holds them ({FORMATS})")
    }

    fn nothing_usable(&self, folder: &Path, param: &str) -> String {
        let shown = self.skipped.iter().take(3);
        let reasons: Vec<String> = shown
            .map(|skipped| format!("\n  {}: {}", skipped.file.file_name().unwrap_or_default().to_string_lossy(), skipped.why))
            .collect();
        let (folder, count) = (folder.display(), self.skipped.len());
        format!("none of the {count} pictures in `{folder}` (`{param}`) can be read:{}", reasons.concat())
    }
}

fn fault(data: &Data, why: String) -> RunError {
    RunError::Data(format!("data `{}`: {why}", data.name))
}

fn absent(folder: &Path, param: &str, error: &std::io::Error) -> String {
    let shown = folder.display();
    if folder.is_file() {
        return format!("`{shown}` is a file; set `{param}` to the folder that holds it");
    }
    if error.kind() != std::io::ErrorKind::NotFound {
        return format!("the folder `{shown}` (`{param}`) cannot be read: {error}");
    }
    let known = folder.ancestors().skip(1).find(|parent| parent.is_dir() || parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let known = if known.as_os_str().is_empty() { Path::new(".") } else { known };
    let mut beside: Vec<String> = std::fs::read_dir(known)
        .map(|entries| {
            entries.flatten().filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        })
        .unwrap_or_default();
    beside.sort();
    let beside = if beside.is_empty() { "no folders".to_string() } else { format!("the folders {}", examples(&beside)) };
    format!("there is no folder `{shown}` (`{param}`); in `{}` there are {beside}", known.display())
}

fn unlike(
    photos: &Path,
    pictures: &BTreeMap<String, (PathBuf, (u32, u32))>,
    labels: &Path,
    masks: &BTreeMap<String, (PathBuf, (u32, u32))>,
) -> String {
    let stems = |files: &BTreeMap<String, _>| examples(&files.keys().cloned().collect::<Vec<_>>());
    let (photos, labels) = (photos.display(), labels.display());
    let (left, right) = (stems(pictures), stems(masks));
    format!("no mask in `{labels}` has the stem of a photograph in `{photos}`: photographs are {left}; masks are {right}. Rename the masks")
}

fn sizes_differ(photo: &Path, size: (u32, u32), mask: (u32, u32)) -> String {
    let name = photo.file_name().unwrap_or_default().to_string_lossy();
    let hint =
        if size.0 != size.1 && mask == (size.1, size.0) { ", perhaps because the photograph is rotated by its EXIF entry" } else { "" };
    format!(
        "the mask has {} x {} pixels, its photograph `{name}` {} x {}{hint}; both are left out: make them equal",
        mask.0, mask.1, size.0, size.1
    )
}

fn examples(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > 3 { ", .." } else { "" };
    format!("{}{more}", shown.join(", "))
}
