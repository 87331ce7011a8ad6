//! `segc sweep`: every variant with every seed, each in a folder of its own, and a table of what came out.

use std::path::{Path, PathBuf};

use segc_lang::modules::Modules;
use segc_lang::params::Overrides;
use segc_runtime::record::{Past, escape, figure, page};
use serde::Serialize;

use super::compare::{aligned, write};
use super::run;
use crate::cli::{Run, SpecArgs, Sweep};
use crate::compiled::{compiled, misused};
use crate::console::{self, Exit};
use crate::interrupt::Interrupt;

/// Runs all of it.
pub fn sweep(args: &Sweep) -> Exit {
    attempt(args).unwrap_or_else(|exit| exit)
}

fn attempt(args: &Sweep) -> Result<Exit, Exit> {
    let (path, fixed) = args.spec.split().map_err(|why| misused(&why))?;
    let overrides = Overrides { variants: fixed.clone(), sets: args.spec.sets.clone(), ..Overrides::default() };
    let ready = compiled(&path, &overrides, true)?;
    run::device(&args.machine)?;
    let modules = &ready.checked.modules;
    let out = args.out.clone().unwrap_or_else(|| Path::new("sweeps").join(label(&ready.spec.name, &fixed)));
    let mut rows: Vec<Row> = chosen(args, modules, &fixed).map_err(|why| misused(&why))?;
    let interrupt = Interrupt::listen().map_err(|why| {
        console::error(&why);
        Exit::Environment
    })?;
    let all = rows.len() as u64 * args.seeds;
    let mut number = 0;
    'rows: for row in &mut rows {
        for seed in 0..args.seeds {
            number += 1;
            let folder = out.join(&row.name).join(format!("seed-{seed}"));
            let before = Past::read(&folder).is_ok_and(|past| past.is_complete());
            if !args.quiet {
                let state = if before { ", done before" } else { "" };
                console::err(&format!("{}, seed {seed} ({number} of {all}){state}", row.name));
            }
            let exit = run::run(&one(args, &path, &row.variants, seed, &folder, before));
            row.seeds.push(Seed::of(&folder, seed, exit));
            if exit == Exit::Stopped || interrupt.asked() {
                break 'rows;
            }
        }
    }
    finish(args, &ready.spec.name, &out, &rows)
}

/// One variant with all its seeds.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    variants: Vec<String>,
    /// Figures of the paper, by name.
    #[serde(serialize_with = "object")]
    reported: Vec<(String, f64)>,
    seeds: Vec<Seed>,
}

/// One run.
#[derive(Debug, Serialize)]
struct Seed {
    seed: u64,
    /// Exit code.
    exit: u8,
    /// Names and values of its figures; empty where it is not complete.
    #[serde(serialize_with = "object")]
    figures: Vec<(String, Option<f64>)>,
}

/// Mean and standard deviation of a figure over the seeds that have it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Spread {
    mean: f64,
    /// None for a single seed.
    deviation: Option<f64>,
    runs: usize,
}

/// What `sweep.json` says of a variant.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    row: &'a Row,
    #[serde(serialize_with = "object")]
    spread: Vec<(String, Spread)>,
}

/// Pairs as an object.
fn object<V: Serialize, S: serde::Serializer>(pairs: &[(String, V)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

impl Seed {
    fn of(folder: &Path, seed: u64, exit: Exit) -> Seed {
        let summary = Past::read(folder).ok().filter(|past| exit == Exit::Done && past.is_complete()).and_then(|past| past.summary);
        Seed { seed, exit: exit.code(), figures: summary.map(|summary| summary.metrics).unwrap_or_default() }
    }

    fn figure(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(own, _)| own == name).and_then(|(_, value)| *value)
    }
}

impl Row {
    fn spread(&self, name: &str) -> Option<Spread> {
        spread(&self.seeds.iter().filter_map(|seed| seed.figure(name)).collect::<Vec<_>>())
    }

    fn reported(&self, name: &str) -> Option<f64> {
        self.reported.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// Names of the figures that a seed has, in their order.
    fn names(&self) -> Vec<&String> {
        let mut names: Vec<&String> = Vec::new();
        for (name, _) in self.seeds.iter().flat_map(|seed| &seed.figures) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn told(&self) -> Told<'_> {
        let spread = self.names().into_iter().filter_map(|name| Some((name.clone(), self.spread(name)?)));
        Told { row: self, spread: spread.collect() }
    }

    /// Runs that ended otherwise than by being done.
    fn failed(&self) -> usize {
        self.seeds.iter().filter(|seed| seed.exit != Exit::Done.code() && seed.exit != Exit::Stopped.code()).count()
    }
}

/// The rows that were asked for.
fn chosen(args: &Sweep, modules: &Modules, fixed: &[String]) -> Result<Vec<Row>, String> {
    let mut known: Vec<&str> = Vec::new();
    for variant in modules.variants() {
        if !known.contains(&variant.name.text.as_str()) {
            known.push(&variant.name.text);
        }
    }
    let unknown =
        args.variants.iter().chain(&args.without).find(|name| !["all", "none"].contains(&name.as_str()) && !known.contains(&name.as_str()));
    if let Some(name) = unknown {
        return Err(format!("there is no variant `{name}`; the spec has {}", known.join(", ")));
    }
    let mut names: Vec<&str> = Vec::new();
    for name in &args.variants {
        match name.as_str() {
            "all" => names.extend(["none"].into_iter().chain(known.iter().copied())),
            name => names.push(name),
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for name in names.into_iter().filter(|name| !args.without.iter().any(|left| left == name) && !fixed.iter().any(|own| own == name)) {
        let own = (name != "none").then(|| name.to_string());
        let variants: Vec<String> = fixed.iter().cloned().chain(own).collect();
        let row = Row { name: label("default", &variants), reported: reported(modules, variants.last()), variants, seeds: Vec::new() };
        if rows.iter().all(|other| other.name != row.name) {
            rows.push(row);
        }
    }
    if rows.is_empty() { Err("no variant is left to run".into()) } else { Ok(rows) }
}

/// The figures that the paper reports for a variant.
fn reported(modules: &Modules, variant: Option<&String>) -> Vec<(String, f64)> {
    let own = modules.variants().find(|own| Some(&own.name.text) == variant);
    let figure = |figure: &segc_lang::syntax::Figure| {
        let path = figure.of.segments.iter().chain(&figure.of.fields).map(|name| name.text.as_str()).collect::<Vec<_>>();
        Some((path.join("."), figure.number.parse().ok()?))
    };
    own.map(|own| own.reported.iter().filter_map(figure).collect()).unwrap_or_default()
}

/// `paper+no_shift`; the plain name where there are no variants.
fn label(plain: &str, variants: &[String]) -> String {
    if variants.is_empty() { plain.into() } else { variants.join("+") }
}

fn one(args: &Sweep, path: &Path, variants: &[String], seed: u64, folder: &Path, before: bool) -> Run {
    let words = std::iter::once(path.display().to_string()).chain(variants.iter().map(|name| format!("+{name}")));
    Run {
        spec: SpecArgs { words: words.collect(), sets: args.spec.sets.clone() },
        seed,
        machine: args.machine,
        out: Some(PathBuf::from(folder)),
        overwrite: false,
        quiet: args.quiet || before,
        no_fuse: false,
        check_nan: None,
        stop_after: None,
        no_cache: false,
        profile: false,
        checkpoint_every: args.checkpoint_every,
        keep_checkpoints: std::num::NonZeroUsize::MIN,
    }
}

/// Prints the table and writes the files; the first failure decides how the sweep ends.
fn finish(args: &Sweep, name: &str, out: &Path, rows: &[Row]) -> Result<Exit, Exit> {
    let shown = shown(&args.metrics, rows);
    console::out(&format!("\n{}\n", table(rows, &shown)));
    #[derive(Serialize)]
    struct Written<'a> {
        spec: &'a str,
        segc: &'a str,
        variants: Vec<Told<'a>>,
    }
    let json =
        serde_json::to_string_pretty(&Written { spec: name, segc: segc_runtime::VERSION, variants: rows.iter().map(Row::told).collect() })
            .unwrap_or_default();
    for (file, text) in [("sweep.json", json + "\n"), ("sweep.html", html(name, rows))] {
        let exit = write(&out.join(file), &text);
        if exit != Exit::Done {
            return Err(exit);
        }
    }
    console::out(&format!("report: {}\n", out.join("sweep.html").display()));
    let codes = rows.iter().flat_map(|row| &row.seeds).map(|seed| seed.exit);
    let worst = codes.clone().find(|code| *code == Exit::Stopped.code()).or_else(|| codes.clone().find(|code| *code != 0));
    let exits = [Exit::Usage, Exit::Data, Exit::Checkpoint, Exit::Numeric, Exit::Environment, Exit::Stopped];
    Ok(exits.into_iter().find(|exit| Some(exit.code()) == worst).unwrap_or(Exit::Done))
}

/// The figures of the table: those asked for, those that the paper reports, or the first.
fn shown(asked: &[String], rows: &[Row]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in asked.iter().chain(rows.iter().flat_map(|row| &row.reported).map(|(name, _)| name).filter(|_| asked.is_empty())) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let first = rows.iter().flat_map(|row| &row.seeds).find_map(|seed| seed.figures.first());
    if names.is_empty() { first.map(|(name, _)| name.clone()).into_iter().collect() } else { names }
}

fn table(rows: &[Row], names: &[String]) -> String {
    let paper = |name: &str| rows.iter().any(|row| row.reported(name).is_some());
    let mut head = Vec::new();
    for name in names {
        head.push(name.clone());
        head.extend(paper(name).then(|| "paper".to_string()));
    }
    head.push("runs".into());
    let line = |row: &Row| {
        let mut cells = Vec::new();
        for name in names {
            cells.push(row.spread(name).map_or("–".into(), Spread::text));
            cells.extend(paper(name).then(|| row.reported(name).map_or("–".into(), |value| figure(Some(value)))));
        }
        let failed = if row.failed() > 0 { format!(", {} failed", row.failed()) } else { String::new() };
        cells.push(format!("{}{failed}", row.seeds.iter().filter(|seed| seed.exit == 0).count()));
        (row.name.clone(), cells)
    };
    aligned(&std::iter::once((String::new(), head)).chain(rows.iter().map(line)).collect::<Vec<_>>())
}

fn html(name: &str, rows: &[Row]) -> String {
    let mut names: Vec<&String> = Vec::new();
    for name in rows.iter().flat_map(Row::names) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut body = String::from("<p class=\"soft\">Mean and standard deviation over the seeds; in brackets what the paper reports.</p>\n");
    body.push_str("<div class=\"scroll\"><table>\n<thead><tr><th></th>");
    rows.iter().for_each(|row| body.push_str(&format!("<th class=\"num\">{}</th>", escape(&row.name))));
    body.push_str("</tr></thead>\n<tbody>\n");
    for name in names {
        let cell = |row: &Row| {
            let paper = row.reported(name).map_or(String::new(), |value| format!(" ({})", figure(Some(value))));
            format!("<td class=\"num\">{}{paper}</td>", row.spread(name).map_or("–".into(), Spread::text))
        };
        body.push_str(&format!("<tr><th>{}</th>{}</tr>\n", escape(name), rows.iter().map(cell).collect::<String>()));
    }
    body.push_str("</tbody>\n</table></div>\n<h2>Runs</h2>\n<ul class=\"notes\">\n");
    for row in rows {
        for seed in &row.seeds {
            let (name, how) = (escape(&row.name), if seed.exit == 0 { "done".into() } else { format!("ended with {}", seed.exit) });
            let number = seed.seed;
            body.push_str(&format!(
                "<li><a href=\"{name}/seed-{number}/report.html\">{name}, seed {number}</a> <span class=\"soft\">{how}</span></li>\n"
            ));
        }
    }
    body.push_str("</ul>\n");
    page(&format!("{name} in all variants"), &body)
}

fn spread(values: &[f64]) -> Option<Spread> {
    let count = values.len();
    let mean = values.iter().sum::<f64>() / count as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (count > 0).then(|| Spread { mean, deviation: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()), runs: count })
}

impl Spread {
    fn text(self) -> String {
        match self.deviation {
            None => figure(Some(self.mean)),
            Some(deviation) => format!("{} ± {}", figure(Some(self.mean)), figure(Some(deviation))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, values: &[f64], reported: &[(&str, f64)], exits: &[u8]) -> Row {
        let seed = |(number, value): (usize, &f64)| Seed {
            seed: number as u64,
            exit: exits[number],
            figures: vec![("test.iou".into(), Some(*value))],
        };
        let reported = reported.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        Row { name: name.into(), variants: Vec::new(), reported, seeds: values.iter().enumerate().map(seed).collect() }
    }

    #[test]
    fn the_spread_is_that_of_a_sample() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[0.5]), Some(Spread { mean: 0.5, deviation: None, runs: 1 }));
        let three = spread(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((three.mean, three.deviation, three.runs), (2.0, Some(1.0), 3));
    }

    #[test]
    fn the_papers_figure_stands_beside_ours() {
        let rows = [row("default", &[0.5, 0.75], &[], &[0, 0]), row("no_shift", &[0.25, 0.25], &[("test.iou", 0.04)], &[0, 5])];
        let shown = shown(&[], &rows);
        assert_eq!(shown, ["test.iou"]);
        let lines = table(&rows, &shown);
        assert_eq!(
            lines,
            "                 test.iou   paper         runs\n\
             default   0.6250 ± 0.1768       –            2\n\
             no_shift  0.2500 ± 0.0000  0.0400  1, 1 failed\n"
        );
    }
}
