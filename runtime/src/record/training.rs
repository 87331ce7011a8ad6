//! What a training leaves in a run directory: its lines of `metrics.jsonl`, written as they come, `pictures/`, and its part of the
//! report.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, Rgb, RgbImage, imageops};

use super::chart::{Line, chart};
use super::folder::{self, Care, failed};
use super::report::{escape, section};
use super::table::figure;
use super::{METRICS, PICTURE_FOLDER, Recorder, pictures, unwritten};
use crate::outcome::RunError;
use crate::train::log::{Figures, Panel, Record, What};

/// Side of the smallest picture of a row, pixels.
const TILE: usize = 64;
/// Space between pictures.
const GAP: usize = 3;
/// So many pictures of one phase are in the report, evenly over its time; all are in the folder.
const SHOWN: usize = 8;
/// More phases than this share one line of a chart.
const LINES: usize = 6;

impl Recorder {
    /// Takes over what a training said before it was stopped, and nothing that it said later.
    pub fn resume(&mut self, records: &[Record]) -> Result<(), RunError> {
        self.training = records.to_vec();
        if records.is_empty() {
            return folder::remove(&self.out.join(METRICS));
        }
        folder::write(&self.out.join(METRICS), self.training_lines().as_bytes(), Care::Durable)
    }

    /// Records what a training says; rows of pictures go into their file.
    pub fn trained(&mut self, record: &Record, panels: &[Panel]) -> Result<(), RunError> {
        if let What::Shown { file, .. } = &record.what {
            let path = self.out.join(file);
            folder::make(&self.out.join(PICTURE_FOLDER))?;
            let grid = grid(panels);
            let png =
                pictures::png(&grid, grid.width(), grid.height(), ExtendedColorType::Rgb8).map_err(|cause| unwritten(&path, cause))?;
            folder::write(&path, &png, Care::Quick)?;
        }
        let path = self.out.join(METRICS);
        let opened = OpenOptions::new().append(true).create(true).open(&path);
        opened.and_then(|mut file| file.write_all(line(record).as_bytes())).map_err(|cause| failed("write", &path, &cause))?;
        self.training.push(record.clone());
        Ok(())
    }

    /// The lines of `metrics.jsonl` so far.
    pub(super) fn training_lines(&self) -> String {
        self.training.iter().map(line).collect()
    }

    /// The newest pictures of each phase, for the grid.
    pub(super) fn newest_pictures(&self) -> Vec<RgbImage> {
        let shows = shows(&self.training);
        let newest = shows
            .iter()
            .filter(|one| !shows.iter().any(|other| (other.phase, other.rows) == (one.phase, one.rows) && other.total > one.total));
        newest.filter_map(|one| image::open(self.out.join(one.file)).ok()).map(|picture| picture.to_rgb8()).collect()
    }
}

/// The section about training; empty without one.
pub(super) fn html(out: &Path, records: &[Record]) -> String {
    let mut page = String::new();
    if records.is_empty() {
        return page;
    }
    section(&mut page, "Training");
    let charts = charts(records);
    if !charts.is_empty() {
        page.push_str("<p class=\"soft\">Over the steps of the run; losses are means over the steps between two points.</p>\n");
        let _ = writeln!(page, "<div class=\"charts\">\n{charts}</div>");
    }
    decisions(&mut page, records);
    measured(&mut page, records);
    shown(&mut page, out, records);
    page
}

fn line(record: &Record) -> String {
    // Names and numbers serialise into memory without fail.
    serde_json::to_string(record).unwrap_or_default() + "\n"
}

/// Rows of pictures under each other, black at the lower end of their range.
fn grid(panels: &[Panel]) -> RgbImage {
    let side = panels.iter().map(|panel| panel.size.0.max(panel.size.1)).max().unwrap_or(1).max(1);
    let factor = (TILE / side).max(1);
    let cell = side * factor;
    let columns = panels.iter().map(|panel| panel.samples.len()).max().unwrap_or(0);
    let extent = |count: usize| (count * (cell + GAP) + GAP) as u32;
    let mut grid = RgbImage::from_pixel(extent(columns), extent(panels.len()), Rgb([255; 3]));
    for (row, panel) in panels.iter().enumerate() {
        for (column, sample) in panel.samples.iter().enumerate() {
            let small = picture(panel, sample);
            let large =
                imageops::resize(&small, small.width() * factor as u32, small.height() * factor as u32, imageops::FilterType::Nearest);
            let at = |number: usize| (GAP + number * (cell + GAP)) as i64;
            imageops::replace(&mut grid, &large, at(column), at(row));
        }
    }
    grid
}

fn picture(panel: &Panel, values: &[f32]) -> RgbImage {
    let (height, width) = panel.size;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        let channel = |number: usize| {
            let (low, high) = panel.range[number.min(panel.channels - 1)];
            let value = values.get(number.min(panel.channels - 1) * height * width + at).copied().unwrap_or(low);
            ((value - low) / (high - low) * 255.0).round().clamp(0.0, 255.0) as u8
        };
        Rgb([channel(0), channel(1), channel(2)])
    })
}

fn charts(records: &[Record]) -> String {
    let mut all: Vec<(String, Vec<Line>)> = Vec::new();
    let mut phases: Vec<&str> = records.iter().map(|record| record.phase.as_str()).collect();
    phases.dedup();
    let apart = phases.len() > 1 && phases.len() <= LINES;
    let mut add = |name: String, phase: &str, point: (f64, f64)| {
        let at = all.iter().position(|(own, _)| *own == name).unwrap_or_else(|| {
            all.push((name, Vec::new()));
            all.len() - 1
        });
        let lines = &mut all[at].1;
        let legend = if apart { phase } else { "" };
        match lines.iter_mut().find(|line| line.name == legend) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: legend.into(), points: vec![point] }),
        }
    };
    for record in records {
        let x = record.total as f64;
        match &record.what {
            What::Losses(losses) => losses.iter().for_each(|(name, loss)| add(format!("loss {name}"), &record.phase, (x, *loss))),
            What::Measured(figures) => figures.values.iter().for_each(|(value, number)| {
                add(full_name(&figures.name, value), &record.phase, (x, number.unwrap_or(f64::NAN)));
            }),
            _ => {}
        }
    }
    let several = |lines: &Vec<Line>| lines.iter().map(|line| line.points.len()).sum::<usize>() > 1;
    all.iter().filter(|(_, lines)| several(lines)).map(|(name, lines)| chart(name, lines)).collect()
}

fn full_name(eval: &str, value: &str) -> String {
    if value.is_empty() { eval.into() } else { format!("{eval}.{value}") }
}

/// What the spec's rules decided.
fn decisions(page: &mut String, records: &[Record]) {
    let said = |record: &Record| match &record.what {
        What::Kept(value) => Some(format!("the best models so far, {}", figure(Some(*value)))),
        What::Restarted(count) => Some(format!("begins anew, {count} in all")),
        What::Finished(true) => Some("ends by its own rule".into()),
        _ => None,
    };
    let lines: Vec<String> = records
        .iter()
        .filter_map(|record| Some((record, said(record)?)))
        .map(|(record, text)| {
            format!("<li><b>{}, step {}</b> <span class=\"soft\">{}</span></li>\n", escape(&record.phase), record.step, escape(&text))
        })
        .collect();
    if !lines.is_empty() {
        let _ = writeln!(page, "<ul class=\"notes\">\n{}</ul>", lines.concat());
    }
}

/// A table of evaluations made while training: the newest of each phase.
fn measured(page: &mut String, records: &[Record]) {
    let figures = |record: &Record| if let What::Measured(figures) = &record.what { Some(figures.clone()) } else { None };
    let all: Vec<(&Record, Figures)> = records.iter().filter_map(|record| Some((record, figures(record)?))).collect();
    let newer = |one: &(&Record, Figures)| {
        all.iter().any(|other| other.0.phase == one.0.phase && other.1.name == one.1.name && other.0.total > one.0.total)
    };
    let newest: Vec<_> = all.iter().filter(|one| !newer(one)).collect();
    if newest.is_empty() {
        return;
    }
    page.push_str("<div class=\"scroll\"><table>\n<tbody>\n");
    for (record, figures) in newest {
        for (value, number) in &figures.values {
            let (phase, name) = (escape(&record.phase), escape(&full_name(&figures.name, value)));
            let (step, number) = (record.step, figure(Some(number.unwrap_or(f64::NAN))));
            let _ = writeln!(page, "<tr><th>{name}</th><td class=\"soft\">{phase}, step {step}</td><td class=\"num\">{number}</td></tr>");
        }
        if let Some(why) = &figures.skipped {
            let (phase, name) = (escape(&record.phase), escape(&figures.name));
            let _ = writeln!(
                page,
                "<tr><th>{name}</th><td class=\"soft\">{phase}</td><td class=\"soft\">not measured: {}</td></tr>",
                escape(why)
            );
        }
    }
    page.push_str("</tbody>\n</table></div>\n");
}

/// A picture that was shown.
#[derive(Clone, Copy)]
struct Show<'a> {
    phase: &'a str,
    step: u64,
    total: u64,
    file: &'a str,
    /// Names of its rows, which tell the statements of a phase apart.
    rows: &'a [String],
}

fn shows(records: &[Record]) -> Vec<Show<'_>> {
    records.iter().filter_map(as_show).collect()
}

fn as_show(record: &Record) -> Option<Show<'_>> {
    let What::Shown { file, rows } = &record.what else { return None };
    Some(Show { phase: &record.phase, step: record.step, total: record.total, file, rows })
}

fn shown(page: &mut String, out: &Path, records: &[Record]) {
    let all = shows(records);
    let mut groups: Vec<Vec<Show>> = Vec::new();
    for one in all {
        match groups.iter_mut().find(|group| (group[0].phase, group[0].rows) == (one.phase, one.rows)) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    for group in groups {
        let _ =
            writeln!(page, "<h3>{}</h3>\n<p class=\"soft\">From above: {}.</p>", escape(group[0].phase), escape(&group[0].rows.join(", ")));
        page.push_str("<div class=\"shows\">\n");
        for one in evenly(&group) {
            let Ok(png) = std::fs::read(out.join(one.file)) else { continue };
            let (data, step) = (STANDARD.encode(png), one.step);
            let name = escape(one.phase);
            let _ = writeln!(
                page,
                "<figure><img alt=\"{name}, {step}\" src=\"data:image/png;base64,{data}\"><figcaption>step {step}</figcaption></figure>"
            );
        }
        page.push_str("</div>\n");
    }
}

/// At most [`SHOWN`] of some, the first and the last among them.
fn evenly<'a, 'b>(all: &'b [Show<'a>]) -> Vec<&'b Show<'a>> {
    let count = all.len().min(SHOWN);
    (0..count).map(|number| &all[if count < 2 { 0 } else { number * (all.len() - 1) / (count - 1) }]).collect()
}
