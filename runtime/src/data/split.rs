//! The text that says which image is for training, validation and test.
//!
//! One image a line, its name first and its part last, with a comma, a semicolon, a tab or blanks between them. The name is the stem of
//! the file; folders before it and an ending of a picture are dropped. The part is `train`, `valid` or `test` (also `training`,
//! `validation`, `val`, and the numbers 0, 1, 2). Empty lines, lines that begin with `#` and a head line (`image,part`) are passed over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Skipped;
use super::decode::{self, Promise};

/// Which image belongs to which part.
#[derive(Clone, Debug)]
pub struct Split {
    file: PathBuf,
    /// Number of the part (training, validation, test) and of the line, by stem.
    parts: BTreeMap<String, (usize, usize)>,
}

/// A list of stems, divided.
#[derive(Clone, Debug)]
pub struct Divided {
    /// Places in the list: training, validation, test.
    pub parts: [Vec<usize>; 3],
    /// What could not be divided.
    pub skipped: Vec<Skipped>,
}

impl Split {
    /// Reads it. The error says in words what is wrong, with the line.
    pub fn read(file: &Path) -> Result<Split, String> {
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| format!("the split `{shown}` cannot be read: {error}"))?;
        Split::of(file, &text)
    }

    fn of(file: &Path, text: &str) -> Result<Split, String> {
        let shown = file.display();
        let mut parts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim().trim_start_matches('\u{feff}'))) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words = words(line);
            let (Some(name), Some(part)) = (words.first(), words.last().and_then(|word| part(word))) else {
                if parts.is_empty() && words.last().is_some_and(|word| is_head(word)) {
                    continue;
                }
                return Err(format!(
                    "line {number} of the split `{shown}` is `{line}`; a line is the name of an image and `train`, `valid` or `test`"
                ));
            };
            let stem = stem(name);
            if let Some((before, first)) = parts.insert(stem.clone(), (part, number))
                && before != part
            {
                return Err(format!("the split `{shown}` names `{stem}` twice, for different parts: lines {first} and {number}"));
            }
        }
        Ok(Split { file: file.to_path_buf(), parts })
    }

    /// Divides stems. Those that the text does not name are in no part; names without image are passed over; both are told. The error
    /// says in words that nothing is left for training.
    pub fn divide(mut self, stems: &[&str]) -> Result<Divided, String> {
        let mut parts: [Vec<usize>; 3] = Default::default();
        let mut unnamed = Vec::new();
        for (place, stem) in stems.iter().enumerate() {
            match self.parts.remove(*stem) {
                Some((part, _)) => parts[part].push(place),
                None => unnamed.push(*stem),
            }
        }
        let missing: Vec<&str> = self.parts.keys().map(String::as_str).collect();
        if parts.iter().all(Vec::is_empty) {
            let (shown, named, found) = (self.file.display(), examples(&missing), examples(stems));
            return Err(format!("the split `{shown}` names none of the images: it names {named}, the images are {found}"));
        }
        let told = |names: &[&str], what: &str| {
            let why = format!("{} {what}: {}", names.len(), examples(names));
            (!names.is_empty()).then(|| Skipped { file: self.file.clone(), why })
        };
        let absent = told(&missing, "of its names have no image");
        let skipped = told(&unnamed, "images are not named in it and belong to no part").into_iter().chain(absent).collect();
        Ok(Divided { parts, skipped })
    }
}

fn words(line: &str) -> Vec<&str> {
    let separator = |c: char| matches!(c, ',' | ';' | '\t');
    let words: Vec<&str> = if line.contains(separator) { line.split(separator).collect() } else { line.split_whitespace().collect() };
    let words: Vec<&str> = words.into_iter().map(|word| word.trim().trim_matches('"')).filter(|word| !word.is_empty()).collect();
    if words.len() == 2 { words } else { Vec::new() }
}

fn part(word: &str) -> Option<usize> {
    match word.to_lowercase().as_str() {
        "train" | "training" | "0" => Some(0),
        "valid" | "validation" | "val" | "1" => Some(1),
        "test" | "testing" | "2" => Some(2),
        _ => None,
    }
}

fn is_head(word: &str) -> bool {
    matches!(word.to_lowercase().as_str(), "part" | "split" | "set" | "subset")
}

fn stem(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let path = Path::new(name);
    let bare = if decode::promise(path) == Promise::Other { None } else { path.file_stem() };
    bare.map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn examples(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > 3 { ", .." } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Split, String> {
        Split::of(Path::new("split.csv"), text)
    }

    #[test]
    fn every_way_to_write_it() {
        let text = "image,part\n# by hand\na.jpg,train\n\n\"b\",\"Validation\"\nbirds/001.Heron/c.v2.png;test\nd\t0\ne 2\n";
        let divided = read(text).unwrap().divide(&["c.v2", "a", "x", "e", "b"]).unwrap();
        assert_eq!(divided.parts, [vec![1], vec![4], vec![0, 3]]);
        let told: Vec<&str> = divided.skipped.iter().map(|skipped| skipped.why.as_str()).collect();
        assert_eq!(told, ["1 images are not named in it and belong to no part: `x`", "1 of its names have no image: `d`"]);
    }

    #[test]
    fn faults_name_the_line() {
        assert!(read("a train\nb training set\n").unwrap_err().contains("line 2 of the split `split.csv` is `b training set`"));
        assert!(read("a,tran").unwrap_err().contains("line 1"));
        assert!(read("a train\na test\n").unwrap_err().contains("`a` twice, for different parts: lines 1 and 2"));
        assert!(read("a train\na train\n").is_ok());
        let strange = read("a train\n").unwrap().divide(&["b"]).unwrap_err();
        assert!(strange.contains("it names `a`, the images are `b`"), "{strange}");
    }
}
