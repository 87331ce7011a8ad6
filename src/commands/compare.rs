//! `segc compare`: runs side by side.

use std::path::{Path, PathBuf};

use segc_runtime::record::{Past, escape, figure, page};
use serde_json::Value;

use crate::cli::Compare;
use crate::console::{self, Exit};

/// Compares them.
pub fn compare(args: &Compare) -> Exit {
    let folders: Vec<PathBuf> = args.runs.iter().flat_map(|path| found(path)).collect();
    let runs: Result<Vec<Past>, String> = folders.iter().map(|folder| Past::read(folder)).collect();
    let runs = match runs {
        Ok(runs) => runs,
        Err(why) => {
            console::error(&why);
            return Exit::Usage;
        }
    };
    let sheet = Sheet::of(&runs, &args.metrics);
    console::out(&sheet.text());
    match &args.html {
        None => Exit::Done,
        Some(file) => write(file, &sheet.html(&runs, file)),
    }
}

/// Writes a file as a whole; says why, where it cannot.
pub fn write(file: &Path, text: &str) -> Exit {
    match whole(file, text) {
        Ok(()) => Exit::Done,
        Err(cause) => {
            console::error(&format!("cannot write {}: {cause}", file.display()));
            Exit::Environment
        }
    }
}

/// Under another name, then renamed; what is no ordinary file is written where it is.
fn whole(file: &Path, text: &str) -> std::io::Result<()> {
    let name = file.file_name().filter(|_| std::fs::metadata(file).map_or(true, |known| known.is_file()));
    let Some(name) = name else { return std::fs::write(file, text) };
    let part = file.with_file_name(format!(".{}.part", name.to_string_lossy()));
    std::fs::write(&part, text)?;
    std::fs::rename(&part, file).inspect_err(|_| drop(std::fs::remove_file(&part)))
}

/// Whether more of a figure is better; none for one of which it is not known.
pub fn more_is_better(name: &str) -> Option<bool> {
    const MORE: [&str; 11] =
        ["iou", "miou", "accuracy", "dice", "f1", "precision", "recall", "corloc", "density", "coverage", "inception_score"];
    const LESS: [&str; 5] = ["fid", "kid", "mae", "mse", "loss"];
    let last = name.rsplit('.').next().unwrap_or(name);
    MORE.contains(&last).then_some(true).or_else(|| LESS.contains(&last).then_some(false))
}

/// The runs that a path names; a path without runs stands for itself, so that it is told.
fn found(path: &Path) -> Vec<PathBuf> {
    let below = Past::below(path);
    if below.is_empty() { vec![path.into()] } else { below }
}

/// A figure, where there is one, and whether it is the best of its row.
type Cell = (Option<f64>, bool);

/// A table with a column for each run.
struct Sheet {
    /// What the runs are called.
    heads: Vec<String>,
    /// What differs between them beside their figures.
    facts: Vec<(String, Vec<String>)>,
    /// Figures and which of them are the best.
    figures: Vec<(String, Vec<Cell>)>,
    /// How many figures are left out because they are the same in all runs.
    same: usize,
}

impl Sheet {
    fn of(runs: &[Past], metrics: &[String]) -> Sheet {
        let names = names(runs.iter().flat_map(|run| run.summary.iter().flat_map(|summary| &summary.metrics)));
        let wanted: Vec<&String> = names.iter().filter(|name| metrics.is_empty() || metrics.contains(name)).collect();
        let figures: Vec<_> = wanted
            .iter()
            .map(|name| {
                let values: Vec<Option<f64>> = runs.iter().map(|run| run.figure(name)).collect();
                ((*name).clone(), marked(name, &values))
            })
            .collect();
        let differs = |(_, cells): &(String, Vec<(Option<f64>, bool)>)| {
            runs.len() == 1 || !metrics.is_empty() || cells.iter().any(|(value, _)| *value != cells[0].0)
        };
        let all = figures.len();
        let figures: Vec<_> = figures.into_iter().filter(differs).collect();
        Sheet { heads: heads(runs), facts: facts(runs), same: all - figures.len(), figures }
    }

    fn text(&self) -> String {
        let shown = |(value, best): &(Option<f64>, bool)| format!("{}{}", figure(*value), if *best { " *" } else { "  " });
        let rows = self.figures.iter().map(|(name, cells)| (name.clone(), cells.iter().map(shown).collect::<Vec<String>>()));
        let facts = self.facts.iter().map(|(name, cells)| (name.clone(), cells.iter().map(|cell| format!("{cell}  ")).collect()));
        let head = (String::new(), self.heads.iter().map(|head| format!("{head}  ")).collect());
        let gap = (String::new(), vec![String::new(); self.heads.len()]);
        let facts: Vec<_> = facts.collect();
        let between = (!facts.is_empty() && !self.figures.is_empty()).then_some(gap);
        let mut text = aligned(&std::iter::once(head).chain(facts).chain(between).chain(rows).collect::<Vec<_>>());
        if self.same > 0 {
            text.push_str(&format!("\n{} the same in all runs\n", console::count(self.same, "more figure")));
        }
        text
    }

    fn html(&self, runs: &[Past], file: &Path) -> String {
        let mut body = String::from("<div class=\"scroll\"><table>\n<thead><tr><th></th>");
        self.heads.iter().for_each(|head| body.push_str(&format!("<th class=\"num\">{}</th>", escape(head))));
        body.push_str("</tr></thead>\n<tbody>\n");
        for (name, cells) in &self.facts {
            let cells: String = cells.iter().map(|cell| format!("<td class=\"num soft\">{}</td>", escape(cell))).collect();
            body.push_str(&format!("<tr><th>{}</th>{cells}</tr>\n", escape(name)));
        }
        for (name, cells) in &self.figures {
            let cell = |(value, best): &(Option<f64>, bool)| {
                format!("<td class=\"num{}\">{}</td>", if *best { " own" } else { "" }, figure(*value))
            };
            body.push_str(&format!("<tr><th>{}</th>{}</tr>\n", escape(name), cells.iter().map(cell).collect::<String>()));
        }
        body.push_str("</tbody>\n</table></div>\n<h2>Pictures</h2>\n<div class=\"shows\">\n");
        for (head, run) in self.heads.iter().zip(runs) {
            let picture = run.folder.join("grid.png");
            if picture.is_file() {
                let (head, from) = (escape(head), escape(&beside(file, &picture)));
                body.push_str(&format!("<figure><img alt=\"{head}\" src=\"{from}\"><figcaption>{head}</figcaption></figure>\n"));
            }
        }
        body.push_str("</div>\n");
        page("Runs side by side", &body)
    }
}

/// The names of figures in the order in which they first come.
fn names<'a>(figures: impl Iterator<Item = &'a (String, Option<f64>)>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in figures {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Figures with the best marked, where they are not all alike.
fn marked(name: &str, values: &[Option<f64>]) -> Vec<(Option<f64>, bool)> {
    let known = || values.iter().flatten().copied();
    let best = match more_is_better(name) {
        Some(true) => known().reduce(f64::max),
        Some(false) => known().reduce(f64::min),
        None => None,
    };
    let alike = known().all(|value| Some(value) == best);
    values.iter().map(|value| (*value, value.is_some() && *value == best && !(alike && values.len() > 1))).collect()
}

/// Paths without what they all begin with.
fn heads(runs: &[Past]) -> Vec<String> {
    let parts: Vec<Vec<String>> =
        runs.iter().map(|run| run.folder.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()).collect();
    let shortest = parts.iter().map(Vec::len).min().unwrap_or(0);
    let common = (0..shortest.saturating_sub(1)).take_while(|at| parts.iter().all(|path| path[*at] == parts[0][*at])).count();
    parts.iter().map(|path| path[common..].join("/")).collect()
}

fn facts(runs: &[Past]) -> Vec<(String, Vec<String>)> {
    let mut facts: Vec<(String, Vec<String>)> = Vec::new();
    let mut fact = |name: &str, of: &dyn Fn(&Past) -> String| {
        let cells: Vec<String> = runs.iter().map(of).collect();
        if cells.iter().any(|cell| *cell != cells[0]) {
            facts.push((name.into(), cells));
        }
    };
    fact("spec", &|run| run.about.spec.name.clone());
    fact("its text", &|run| run.about.spec.hash.chars().take(8).collect());
    fact("variants", &|run| run.about.variants.iter().map(|name| format!("+{name}")).collect());
    fact("seed", &|run| run.about.seed.to_string());
    let mut params: Vec<&String> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| &run.about.params) {
        if !params.contains(&name) {
            params.push(name);
        }
    }
    for name in params {
        fact(name, &|run| run.about.params.iter().find(|(own, _)| own == name).map_or("–".into(), |(_, value)| shown(value)));
    }
    fact("device", &|run| run.about.device.clone());
    fact("segc", &|run| run.about.segc.clone());
    fact("complete", &|run| if run.is_complete() { "yes".into() } else { "no".into() });
    facts
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Rows with their cells to the right of each column.
pub fn aligned(rows: &[(String, Vec<String>)]) -> String {
    let wide = |text: &String| text.chars().count();
    let first = rows.iter().map(|(name, _)| wide(name)).max().unwrap_or(0);
    let columns = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().filter_map(|(_, cells)| cells.get(at)).map(wide).max().unwrap_or(0)).collect();
    let line = |(name, cells): &(String, Vec<String>)| {
        let cells: String = cells.iter().zip(&widths).map(|(cell, width)| format!("  {cell:>width$}")).collect();
        format!("{name:<first$}{cells}").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// A path as a page beside it writes it.
fn beside(page: &Path, path: &Path) -> String {
    let folder = page.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Ok(folder), Ok(whole)) = (folder.canonicalize(), path.canonicalize()) else { return path.display().to_string() };
    let inside = whole.strip_prefix(&folder).map(Path::to_path_buf);
    inside.unwrap_or(whole).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_known_by_the_name() {
        let values = [Some(0.5), None, Some(0.75)];
        let best = |name: &str| marked(name, &values).into_iter().map(|(_, best)| best).collect::<Vec<_>>();
        assert_eq!(best("test.iou"), [false, false, true]);
        assert_eq!(best("quality.fid"), [true, false, false]);
        assert_eq!(best("areas.seen"), [false; 3]);
        assert_eq!(marked("iou", &[Some(1.0), Some(1.0)]).into_iter().filter(|(_, best)| *best).count(), 0);
    }

    #[test]
    fn columns_stand_under_their_heads() {
        let rows = [("".to_string(), vec!["a".into(), "longer".into()]), ("iou".into(), vec!["0.5000".into(), "–".into()])];
        assert_eq!(aligned(&rows), "          a  longer\niou  0.5000       –\n");
    }
}
