//! Curves as inline SVG: one chart for each watched name, one line in it for each member of a family.

use std::fmt::Write;

use super::report::escape;
use crate::outcome::Curve;

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 190.0;
/// Room for the numbers at the left.
const LEFT: f64 = 52.0;
/// Room for the numbers below.
const BELOW: f64 = 24.0;
/// Rim of the other sides.
const RIM: f64 = 10.0;
/// How many colours the style sheet knows.
const COLOURS: usize = 6;

/// A line of a chart.
pub struct Line {
    /// What the legend calls it; empty where it stands alone.
    pub name: String,
    /// Place along the axis, such as the step, and value.
    pub points: Vec<(f64, f64)>,
}

/// A chart for each name behind the last dot: `cut[1/2].error` and `cut[3/4].error` share one.
pub(super) fn charts(curves: &[Curve]) -> String {
    let mut groups: Vec<(&str, Vec<Line>)> = Vec::new();
    for curve in curves {
        let (member, watched) = curve.name.rsplit_once('.').unwrap_or(("", &curve.name));
        let points = curve.points.iter().enumerate().map(|(step, value)| (step as f64, *value)).collect();
        let line = Line { name: member.into(), points };
        match groups.iter_mut().find(|(name, _)| *name == watched) {
            Some((_, lines)) => lines.push(line),
            None => groups.push((watched, vec![line])),
        }
    }
    groups.iter().map(|(name, lines)| chart(name, lines)).collect()
}

/// One chart, as HTML in the style of [`super::page`]; places along the axis are counted from zero.
pub fn chart(name: &str, lines: &[Line]) -> String {
    let finite = || lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).filter(|y| y.is_finite());
    let last = lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).fold(1.0, f64::max);
    if finite().next().is_none() {
        return String::new();
    }
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    let rows = ticks(low, high, 4);
    let columns = ticks(0.0, last, 5).into_iter().filter(|x| x.fract() == 0.0 && *x <= last);
    let frame = Frame { low: low.min(rows[0]), high: high.max(rows[rows.len() - 1]), last };
    let mut svg =
        format!("<figure class=\"chart\"><figcaption>{}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n", escape(name));
    for row in rows {
        let y = frame.y(row);
        let _ = writeln!(svg, "<path class=\"rule\" d=\"M{LEFT} {y:.1}H{}\"/>", WIDTH - RIM);
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 7.0, y + 3.5, number(row));
    }
    for column in columns {
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{column}</text>", frame.x(column), HEIGHT - 6.0);
    }
    for (place, line) in lines.iter().enumerate() {
        let _ = writeln!(svg, "<path class=\"line c{}\" d=\"{}\"/>", place % COLOURS, frame.path(&line.points));
    }
    svg.push_str("</svg>\n<p class=\"legend\">");
    for (place, line) in lines.iter().enumerate().filter(|(_, line)| !line.name.is_empty()) {
        let _ = write!(svg, "<span><i class=\"c{}\"></i>{}</span> ", place % COLOURS, escape(&line.name));
    }
    svg.push_str("</p></figure>\n");
    svg
}

/// Where values stand in a chart.
struct Frame {
    low: f64,
    high: f64,
    last: f64,
}

impl Frame {
    fn x(&self, step: f64) -> f64 {
        LEFT + step / self.last * (WIDTH - LEFT - RIM)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BELOW - (value - self.low) / (self.high - self.low) * (HEIGHT - BELOW - RIM)
    }

    /// A line that is broken where a value is not a number.
    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        let mut pen = 'M';
        for &(step, value) in points {
            if value.is_finite() {
                let _ = write!(path, "{pen}{:.1} {:.1}", self.x(step), self.y(value));
                pen = 'L';
            } else {
                pen = 'M';
            }
        }
        if points.len() == 1 {
            path.push_str("h2");
        }
        path
    }
}

/// About `count` round numbers that lie around or in `low..high`, at least two.
fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let (low, high) = if high > low { (low, high) } else { (low - 0.5 * low.abs().max(1e-3), high + 0.5 * high.abs().max(1e-3)) };
    let rough = (high - low) / count as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|step| *step >= rough * 0.999).unwrap_or(power);
    let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
    (first..=last).map(|k| k as f64 * step).collect()
}

/// A tick's number without the dust of binary fractions.
fn number(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.1e}");
    }
    let shown = format!("{value:.4}");
    let trimmed = shown.trim_end_matches('0').trim_end_matches('.');
    if trimmed == "-0" { "0".into() } else { trimmed.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose() {
        assert_eq!(ticks(0.12, 0.47, 4).iter().map(|t| number(*t)).collect::<Vec<_>>(), ["0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(ticks(0.0, 30.0, 5), [0.0, 10.0, 20.0, 30.0]);
        assert!(ticks(3.0, 3.0, 4).len() >= 2);
    }

    #[test]
    fn values_that_are_no_numbers_break_the_line() {
        let curve = Curve { name: "cut.error".into(), points: vec![1.0, f64::NAN, 2.0, 3.0] };
        let svg = charts(std::slice::from_ref(&curve));
        let line = svg.lines().find(|line| line.contains("class=\"line")).map(|line| line.matches('M').count());
        assert_eq!(line, Some(2));
        assert!(!svg.contains("NaN"));
        assert_eq!(charts(&[Curve { name: "a".into(), points: vec![f64::NAN] }]), "");
    }
}
