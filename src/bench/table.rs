//! What was measured, for people and for programs.

use segc_runtime::execute::Ceiling;
use serde_json::{Value, json};

use super::Measured;
use super::workload::{Bound, Workload};
use crate::commands::compare::aligned;

/// All measurements of a workload, in the order in which they were made.
pub struct Row {
    name: String,
    what: &'static str,
    /// On a card.
    precision: Option<&'static str>,
    bound: Bound,
    ceiling: Ceiling,
    pub ours: Vec<Measured>,
    pub eager: Vec<Measured>,
    pub compiled: Vec<Measured>,
}

impl Row {
    pub fn new(workload: &Workload, ceiling: Ceiling) -> Row {
        let Workload { name, what, bound, .. } = workload;
        Row {
            name: (*name).to_owned(),
            what,
            precision: None,
            bound: *bound,
            ceiling,
            ours: Vec::new(),
            eager: Vec::new(),
            compiled: Vec::new(),
        }
    }

    /// The same on a card in a precision.
    pub fn in_precision(self, word: &'static str) -> Row {
        Row { precision: Some(word), ..self }
    }

    /// Whether segc itself could not be measured.
    pub fn failed(&self) -> bool {
        self.ours.iter().any(|one| one.error.is_some())
    }

    /// Its name with the precision.
    fn label(&self) -> String {
        self.precision.map_or_else(|| self.name.clone(), |word| format!("{} {word}", self.name))
    }

    /// How many times as long a peer takes: of each pair of measurements, then the median. Of workloads with several cases the geometric
    /// mean over the cases.
    fn ratio(&self, peer: &[Measured]) -> Option<f64> {
        let pairs = self.ours.iter().zip(peer).filter(|(ours, theirs)| ours.error.is_none() && theirs.error.is_none());
        median(pairs.map(|(ours, theirs)| ratio(ours, theirs)).collect())
    }

    /// Which part of what the machine reaches at most.
    fn of_ceiling(&self) -> Option<f64> {
        let part = |ours: &Measured| match self.bound {
            Bound::Arithmetic => ours.flop / (1e-3 * ours.ms) / self.ceiling.flop_per_second,
            Bound::Traffic => ours.bytes / (1e-3 * ours.ms) / self.ceiling.bytes_per_second,
        };
        median(self.ours.iter().filter(|one| one.error.is_none()).map(part).collect())
    }

    fn of(&self, all: &[Measured], what: fn(&Measured) -> f64) -> Option<f64> {
        median(all.iter().filter(|one| one.error.is_none()).map(what).collect())
    }

    /// One line while other workloads are still to come.
    pub fn line(&self) -> String {
        if let Some(why) = self.error(&self.ours) {
            return format!("{} failed: {why}", self.label());
        }
        let ratio = self.ratio(&self.eager).map_or(String::new(), |ratio| format!(", PyTorch takes {ratio:.2} times as long"));
        format!("{}: {} ms{ratio}", self.label(), shown(self.of(&self.ours, |one| one.ms), 1))
    }

    fn error(&self, all: &[Measured]) -> Option<String> {
        all.iter().find_map(|one| one.error.clone())
    }

    /// What a list of rows holds of it.
    pub fn json(&self) -> Value {
        let cases: Vec<Value> = (0..self.cases()).map(|at| self.case(at)).collect();
        let mut json = json!({
            "workload": self.name,
            "what": self.what,
            "ours_ms": self.of(&self.ours, |one| one.ms),
            "eager_ms": self.of(&self.eager, |one| one.ms),
            "compiled_ms": self.of(&self.compiled, |one| one.ms),
            "ratio_eager": self.ratio(&self.eager),
            "ratio_compiled": self.ratio(&self.compiled),
            "ceiling": self.of_ceiling(),
            "ours_mb": self.of(&self.ours, |one| one.mb),
            "eager_mb": self.of(&self.eager, |one| one.mb),
            "compile_ms": self.of(&self.ours, |one| one.compile_ms),
            "first_ms": self.of(&self.ours, |one| one.first_ms),
            "eager_first_ms": self.of(&self.eager, |one| one.first_ms),
            "compiled_error": self.compiled.iter().find_map(|one| one.error.clone()),
            "cases": cases,
        });
        if let Some(word) = self.precision {
            json["precision"] = word.into();
            json["ours_error"] = self.error(&self.ours).into();
            json["eager_error"] = self.error(&self.eager).into();
            json["eager_device_mb"] = self.eager.iter().find_map(|one| one.device_mb).into();
            json["tflop_per_second"] = self.rate(|one| one.flop / 1e12).into();
            json["gb_per_second"] = self.rate(|one| one.bytes / 1e9).into();
            json["ceiling_tflop_per_second"] = (self.ceiling.flop_per_second / 1e12).into();
            json["ceiling_gb_per_second"] = (self.ceiling.bytes_per_second / 1e9).into();
        }
        json
    }

    /// What is done in a second.
    fn rate(&self, amount: fn(&Measured) -> f64) -> Option<f64> {
        median(self.ours.iter().filter(|one| one.error.is_none()).map(|one| amount(one) / (1e-3 * one.ms)).collect())
    }

    fn cases(&self) -> usize {
        self.ours.first().map_or(0, |one| one.cases.len())
    }

    fn case(&self, at: usize) -> Value {
        let of = |all: &[Measured]| median(all.iter().filter_map(|one| Some(one.cases.get(at)?.ms)).collect());
        let first = self.ours.first().map(|one| &one.cases[at]);
        let (ours, eager) = (of(&self.ours), of(&self.eager));
        let rate = |amount: Option<f64>| Some(amount? / (1e-3 * ours?) / 1e9);
        json!({
            "name": first.map(|case| case.name.clone()),
            "ours_ms": ours,
            "eager_ms": eager,
            "ratio_eager": eager.zip(ours).map(|(eager, ours)| eager / ours),
            "gflop_per_second": rate(first.map(|case| case.flop)),
            "gb_per_second": rate(first.map(|case| case.bytes)),
        })
    }
}

fn ratio(ours: &Measured, theirs: &Measured) -> f64 {
    if ours.cases.is_empty() || ours.cases.len() != theirs.cases.len() {
        return theirs.ms / ours.ms;
    }
    let logs = ours.cases.iter().zip(&theirs.cases).map(|(ours, theirs)| (theirs.ms / ours.ms).ln());
    (logs.sum::<f64>() / ours.cases.len() as f64).exp()
}

pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[n / 2]),
        n => Some((values[n / 2 - 1] + values[n / 2]) / 2.0),
    }
}

/// The list that `--json` prints.
pub fn json(rows: &[Row]) -> String {
    format!("{:#}\n", Value::Array(rows.iter().map(Row::json).collect()))
}

/// The table for people.
pub fn text(rows: &[Row], ceiling: Ceiling, threads: usize) -> String {
    let mut text = format!(
        "{threads} threads reach {:.0} GFLOP/s and {:.1} GB/s here\n\n",
        ceiling.flop_per_second / 1e9,
        ceiling.bytes_per_second / 1e9
    );
    text.push_str(&self::rows(rows));
    text
}

/// Rows with what they are and with their cases.
pub fn rows(rows: &[Row]) -> String {
    let mut text = String::new();
    let head = [
        "segc ms",
        "eager ms",
        "compiled ms",
        "eager / segc",
        "compiled / segc",
        "of ceiling",
        "segc MB",
        "eager MB",
        "compile ms",
        "first step ms",
    ];
    let mut lines = vec![(String::new(), head.map(String::from).to_vec())];
    for row in rows {
        let cells = vec![
            shown(row.of(&row.ours, |one| one.ms), 1),
            shown(row.of(&row.eager, |one| one.ms), 1),
            shown(row.of(&row.compiled, |one| one.ms), 1),
            shown(row.ratio(&row.eager), 2),
            shown(row.ratio(&row.compiled), 2),
            row.of_ceiling().map_or("–".into(), |part| format!("{:.0} %", 100.0 * part)),
            shown(row.of(&row.ours, |one| one.mb), 0),
            shown(row.of(&row.eager, |one| one.mb), 0),
            shown(row.of(&row.ours, |one| one.compile_ms), 0),
            shown(row.of(&row.ours, |one| one.first_ms), 0),
        ];
        lines.push((row.label(), cells));
    }
    text.push_str(&aligned(&lines));
    for row in rows {
        text.push_str(&format!("\n{}: {}", row.label(), row.what));
        let cases = (0..row.cases()).map(|at| row.case(at));
        let number = |case: &Value, name: &str, digits: usize| shown(case[name].as_f64(), digits);
        let lines: Vec<(String, Vec<String>)> = cases
            .map(|case| {
                let cells = [("ours_ms", 3), ("eager_ms", 3), ("ratio_eager", 2), ("gflop_per_second", 0), ("gb_per_second", 1)];
                let name = format!("  {}", case["name"].as_str().unwrap_or_default());
                (name, cells.map(|(cell, digits)| number(&case, cell, digits)).to_vec())
            })
            .collect();
        if !lines.is_empty() {
            let head = ["segc ms", "eager ms", "ratio", "GFLOP/s", "GB/s"].map(String::from).to_vec();
            let all: Vec<_> = std::iter::once((String::new(), head)).chain(lines).collect();
            text.push_str(&format!("\n{}", aligned(&all)));
        }
    }
    text.trim_end().to_owned() + "\n"
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.filter(|value| *value > 0.0).map_or("–".into(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Case;

    #[test]
    fn ratios_of_cases_are_joined_by_their_geometric_mean() {
        let with = |times: [f64; 2]| Measured { cases: times.map(|ms| Case { ms, ..Case::default() }).to_vec(), ..Measured::default() };
        assert!((ratio(&with([1.0, 2.0]), &with([4.0, 2.0])) - 2.0).abs() < 1e-12);
        assert_eq!(ratio(&Measured { ms: 2.0, ..Measured::default() }, &Measured { ms: 3.0, ..Measured::default() }), 1.5);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!([median(vec![]), median(vec![3.0, 1.0]), median(vec![9.0, 1.0, 2.0])], [None, Some(2.0), Some(2.0)]);
    }
}
