//! The figures of all evaluations side by side: a row for each value, a column for each evaluation.

use crate::outcome::Measured;

/// A table of figures; the first column is the spec's own result where the spec lists it first, the others are its baselines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Names of the evaluations.
    pub columns: Vec<String>,
    /// Name of each value and its figure in each evaluation that has it.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Table {
    /// The table of what was measured; evaluations that were skipped have no column.
    pub fn of(measured: &[Measured]) -> Table {
        let shown: Vec<&Measured> = measured.iter().filter(|one| one.skipped.is_none()).collect();
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in shown.iter().flat_map(|one| &one.values) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let figure = |one: &Measured, name: &str| one.values.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
        let rows = names.iter().map(|name| (label(name), shown.iter().map(|one| figure(one, name)).collect()));
        Table { rows: rows.collect(), columns: shown.iter().map(|one| one.name.clone()).collect() }
    }

    /// For each value that several evaluations have, its name and theirs with their figures, the highest first.
    pub fn ranked(&self) -> Vec<(&str, Vec<(&str, f64)>)> {
        let known = |cells: &[Option<f64>]| {
            let known = self.columns.iter().zip(cells).filter_map(|(column, cell)| Some((column.as_str(), (*cell)?)));
            let mut known: Vec<(&str, f64)> = known.collect();
            known.sort_by(|a, b| b.1.total_cmp(&a.1));
            known
        };
        let all = self.rows.iter().map(|(name, cells)| (name.as_str(), known(cells)));
        all.filter(|(_, order)| order.len() > 1).collect()
    }

    /// Lines for a terminal, without colours.
    pub fn lines(&self) -> Vec<String> {
        let first = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = self.columns.iter().map(|name| name.chars().count().max(8)).collect();
        let line = |head: &str, cells: Vec<String>| {
            let cells: String = cells.iter().zip(&widths).map(|(cell, width)| format!("  {cell:>width$}")).collect();
            format!("{head:<first$}{cells}")
        };
        let head = line("", self.columns.clone());
        let rows = self.rows.iter().map(|(name, cells)| line(name, cells.iter().map(|cell| figure(*cell)).collect()));
        std::iter::once(head).chain(rows).collect()
    }
}

/// A figure as shown: four decimals where they say enough, else scientific; a dash for none.
pub fn figure(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(value) if !value.is_finite() => "undefined".into(),
        Some(value) if value == 0.0 || (1e-3..1e5).contains(&value.abs()) => format!("{value:.4}"),
        Some(value) => format!("{value:.3e}"),
    }
}

fn label(name: &str) -> String {
    if name.is_empty() { "value".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, values: &[(&str, f64)], skipped: Option<&str>) -> Measured {
        let values = values.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        Measured { name: name.into(), values, samples: 3, skipped: skipped.map(Into::into) }
    }

    #[test]
    fn evaluations_stand_side_by_side() {
        let table = Table::of(&[
            measured("masks", &[("iou", 0.5), ("accuracy", 0.75)], None),
            measured("full", &[("iou", 0.25)], None),
            measured("boxes", &[], Some("no labels")),
        ]);
        assert_eq!(table.lines(), ["             masks      full", "iou         0.5000    0.2500", "accuracy    0.7500         –"]);
    }

    #[test]
    fn evaluations_that_share_a_value_are_ranked() {
        let table = Table::of(&[
            measured("masks", &[("iou", 0.25), ("f", 0.5)], None),
            measured("disc", &[("iou", 0.75)], None),
            measured("none", &[("iou", f64::NAN)], Some("no labels")),
        ]);
        assert_eq!(table.ranked(), [("iou", vec![("disc", 0.75), ("masks", 0.25)])]);
    }

    #[test]
    fn figures_of_every_size_are_readable() {
        let shown: Vec<String> = [0.0, 0.12345, 1e-5, -3e7, f64::NAN].map(|x| figure(Some(x))).to_vec();
        assert_eq!(shown, ["0.0000", "0.1235", "1.000e-5", "-3.000e7", "undefined"]);
    }
}
