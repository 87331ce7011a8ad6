//! `segc bench --scaling`: whether the time of a training step grows as its work does.

use std::fmt::Write;
use std::path::Path;

use segc_runtime::record::{Line, chart, page};

use super::table::median;
use super::workload::WORKLOADS;
use super::{Measured, child};
use crate::cli::Bench;
use crate::commands::compare::{aligned, write};
use crate::console::{self, Exit};

/// What is trained: the U-Net of `benches/unet.seg`.
const WORKLOAD: &str = "W6";

/// What grows, its values, and what stays.
const SERIES: [(&str, &[usize], (&str, usize)); 2] =
    [("batch_n", &[1, 2, 4, 8, 16, 32], ("size", 64)), ("size", &[32, 48, 64, 80, 96, 128], ("batch_n", 4))];

/// Times of one series.
struct Series {
    grows: &'static str,
    stays: (&'static str, usize),
    points: Vec<Point>,
}

struct Point {
    value: usize,
    measured: Vec<Measured>,
}

impl Point {
    fn ms(&self) -> f64 {
        median(self.measured.iter().map(|one| one.ms).collect()).unwrap_or(f64::NAN)
    }

    fn gflop(&self) -> f64 {
        self.measured.first().map_or(0.0, |one| one.flop / 1e9)
    }
}

/// Time of a step as a multiple of its work, and what it takes in any case.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Straight {
    ms: f64,
    per_gflop: f64,
}

impl Straight {
    /// The line from which the times differ least in parts of themselves (least squares).
    fn through(points: &[(f64, f64)]) -> Straight {
        let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|(work, time)| of(*work, *time) / (time * time)).sum::<f64>();
        let (one, work, square) = (sum(&|_, _| 1.0), sum(&|work, _| work), sum(&|work, _| work * work));
        let (time, both) = (sum(&|_, time| time), sum(&|work, time| work * time));
        let below = one * square - work * work;
        Straight { ms: (time * square - both * work) / below, per_gflop: (one * both - work * time) / below }
    }

    fn at(&self, gflop: f64) -> f64 {
        self.ms + self.per_gflop * gflop
    }
}

/// Measures all sizes in turns, writes the page with the plots.
pub fn measure(args: &Bench, threads: usize, file: &Path) -> Exit {
    let mut all: Vec<Series> = SERIES
        .iter()
        .map(|(grows, values, stays)| {
            let points = values.iter().map(|value| Point { value: *value, measured: Vec::new() }).collect();
            Series { grows, stays: *stays, points }
        })
        .collect();
    for _ in 0..args.repeats.get() {
        for series in &mut all {
            for point in &mut series.points {
                match one(args, threads, &[(series.grows, point.value), series.stays]) {
                    Ok(measured) => point.measured.push(measured),
                    Err(why) => {
                        console::error(&format!("{} = {}: {why}", series.grows, point.value));
                        return Exit::Environment;
                    }
                }
            }
        }
    }
    console::out(&all.iter().map(Series::text).collect::<Vec<_>>().join("\n"));
    write(file, &page("How the time of a step grows", &all.iter().map(Series::html).collect::<String>()))
}

fn one(args: &Bench, threads: usize, sets: &[(&str, usize)]) -> Result<Measured, String> {
    let workload = WORKLOADS.iter().find(|workload| workload.name == WORKLOAD).ok_or("there is nothing to train")?;
    child(workload, super::steps(workload, args).1, threads, sets, &[])
}

impl Series {
    fn line(&self) -> Straight {
        Straight::through(&self.points.iter().map(|point| (point.gflop(), point.ms())).collect::<Vec<_>>())
    }

    /// How far a point is from the line, in parts of the line.
    fn off(&self, point: &Point) -> f64 {
        point.ms() / self.line().at(point.gflop()) - 1.0
    }

    fn title(&self) -> String {
        format!("{WORKLOAD}, {} grows, {} = {}", self.grows, self.stays.0, self.stays.1)
    }

    fn verdict(&self) -> String {
        let Straight { ms, per_gflop } = self.line();
        let most = self.points.iter().map(|point| self.off(point).abs()).fold(0.0, f64::max);
        format!("{ms:.1} ms and {per_gflop:.2} ms per GFLOP; times differ from it by {:.0} % at most", 100.0 * most)
    }

    fn text(&self) -> String {
        let head = ["GFLOP", "ms", "ms per GFLOP", "from the line"].map(String::from).to_vec();
        let row = |point: &Point| {
            let (ms, gflop) = (point.ms(), point.gflop());
            let off = format!("{:+.0} %", 100.0 * self.off(point));
            (point.value.to_string(), vec![format!("{gflop:.2}"), format!("{ms:.1}"), format!("{:.2}", ms / gflop), off])
        };
        let rows: Vec<_> = std::iter::once((self.grows.to_owned(), head)).chain(self.points.iter().map(row)).collect();
        format!("{}: {}\n{}", self.title(), self.verdict(), aligned(&rows))
    }

    fn html(&self) -> String {
        let line = self.line();
        let measured = self.points.iter().map(|point| (point.gflop(), point.ms())).collect();
        let straight = self.points.iter().map(|point| (point.gflop(), line.at(point.gflop()))).collect();
        let lines = [Line { name: "ms per step".into(), points: measured }, Line { name: "linear in the work".into(), points: straight }];
        let chart = chart("ms against GFLOP", &lines);
        let mut html = format!("<h2>{}</h2>\n<p>{}</p>\n<div class=\"charts\">\n{chart}</div>\n", self.title(), self.verdict());
        let _ = writeln!(html, "<pre>{}</pre>", self.text());
        html
    }
}

#[cfg(test)]
mod tests {
    use super::Straight;

    #[test]
    fn a_line_is_found_through_its_points() {
        let line = Straight::through(&[(1.0, 5.0), (2.0, 8.0), (10.0, 32.0)]);
        assert!((line.ms - 2.0).abs() < 1e-9 && (line.per_gflop - 3.0).abs() < 1e-9, "{line:?}");
    }
}
