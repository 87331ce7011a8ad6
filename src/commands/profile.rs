//! `segc run --profile`: where the time goes, as a table and as a trace.

use std::path::Path;

use segc_lang::source::{Sources, Span};
use segc_runtime::execute::{Ceiling, KernelProfile, Profiler, ProgramProfile, ceiling};
use segc_runtime::outcome::RunError;

use crate::commands::compare::aligned;

/// So many kernels are listed.
const LISTED: usize = 25;

/// Writes the trace into the run's folder and gives the table.
pub fn conclude(profiler: &Profiler, sources: &Sources, threads: usize, out: &Path) -> Result<String, RunError> {
    let place = |span: Span| format!("{}:{}", sources.get(span.source).name, sources.line_column(span).0);
    let file = out.join("profile.json");
    let trace = serde_json::to_string(&profiler.trace(&place)).unwrap_or_default();
    std::fs::write(&file, trace).map_err(|cause| RunError::Environment(format!("cannot write {}: {cause}", file.display())))?;
    let programs = profiler.programs();
    let ceiling = ceiling(threads);
    let mut text = format!(
        "this machine at most on {threads} threads: {:.0} GFLOP/s, {:.1} GB/s\n\n",
        ceiling.flop_per_second / 1e9,
        ceiling.bytes_per_second / 1e9
    );
    text.push_str(&totals(&programs, &place, ceiling));
    text.push('\n');
    text.push_str(&kernels(&programs, &place, ceiling));
    text.push_str(&format!("\ntrace for ui.perfetto.dev: {}\n", file.display()));
    Ok(text)
}

fn head(cells: &[&str]) -> (String, Vec<String>) {
    (cells[0].into(), cells[1..].iter().map(ToString::to_string).collect())
}

fn totals(programs: &[ProgramProfile], place: &dyn Fn(Span) -> String, ceiling: Ceiling) -> String {
    let mut rows = vec![head(&["program", "runs", "ms a run", "GFLOP/s", "GB/s", "of ceiling", "kernels"])];
    for program in programs {
        let seconds: f64 = program.kernels.iter().map(|kernel| kernel.time.as_secs_f64()).sum();
        let runs = program.runs as f64;
        let flop: f64 = program.kernels.iter().map(|kernel| kernel.cost.flop as f64).sum();
        let bytes: f64 = program.kernels.iter().map(|kernel| kernel.cost.bytes as f64).sum();
        let least: f64 = program.kernels.iter().map(|kernel| least(kernel, ceiling)).sum();
        let name = program.span.map_or(program.name.clone(), |span| format!("{}, {}", program.name, place(span)));
        let mut cells = vec![program.runs.to_string(), format!("{:.2}", 1e3 * seconds / runs)];
        cells.extend(rates(flop * runs, bytes * runs, seconds));
        cells.extend([percent(least * runs / seconds), program.kernels.len().to_string()]);
        rows.push((name, cells));
    }
    aligned(&rows)
}

/// The dearest kernels; those of equal op, sizes and place are one line.
fn kernels(programs: &[ProgramProfile], place: &dyn Fn(Span) -> String, ceiling: Ceiling) -> String {
    struct Line {
        what: String,
        at: String,
        count: u64,
        seconds: f64,
        flop: f64,
        bytes: f64,
        least: f64,
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut all = 0.0;
    for program in programs {
        for kernel in &program.kernels {
            let (seconds, runs) = (kernel.time.as_secs_f64(), program.runs as f64);
            all += seconds;
            let at = kernel.span.map_or(String::new(), place);
            let found = lines.iter().position(|line| line.what == kernel.what && line.at == at).unwrap_or_else(|| {
                lines.push(Line { what: kernel.what.clone(), at, count: 0, seconds: 0.0, flop: 0.0, bytes: 0.0, least: 0.0 });
                lines.len() - 1
            });
            let line = &mut lines[found];
            line.count += program.runs;
            line.seconds += seconds;
            line.flop += runs * kernel.cost.flop as f64;
            line.bytes += runs * kernel.cost.bytes as f64;
            line.least += runs * least(kernel, ceiling);
        }
    }
    lines.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let mut rows = vec![head(&["share", "times", "ms each", "GFLOP/s", "GB/s", "of ceiling"])];
    let shown = &lines[..lines.len().min(LISTED)];
    for line in shown {
        let mut cells = vec![line.count.to_string(), format!("{:.3}", 1e3 * line.seconds / line.count.max(1) as f64)];
        cells.extend(rates(line.flop, line.bytes, line.seconds));
        cells.push(percent(line.least / line.seconds));
        rows.push((percent(line.seconds / all), cells));
    }
    let table = aligned(&rows);
    let mut texts = table.lines();
    let mut text = format!("{}  what\n", texts.next().unwrap_or_default());
    for (row, line) in texts.zip(shown) {
        text.push_str(&format!("{row}  {} {}\n", line.what, line.at));
    }
    text
}

/// The least time that a kernel's arithmetic or traffic could take, seconds.
fn least(kernel: &KernelProfile, ceiling: Ceiling) -> f64 {
    (kernel.cost.flop as f64 / ceiling.flop_per_second).max(kernel.cost.bytes as f64 / ceiling.bytes_per_second)
}

fn rates(flop: f64, bytes: f64, seconds: f64) -> [String; 2] {
    [format!("{:.1}", flop / seconds / 1e9), format!("{:.1}", bytes / seconds / 1e9)]
}

fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}
