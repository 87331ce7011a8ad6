//! `report.html`: the whole run on one page that needs no network and no other file.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use segc_lang::spec::ParamValue;

use super::table::{Table, figure};
use super::{About, Picture, chart};
use crate::outcome::{Measured, Outcome};

/// How many notes and how many left-out files are listed; `summary.json` has all.
const LISTED: usize = 200;

/// The page; `training` is the section about training.
pub(super) fn html(about: &About, outcome: &Outcome, pictures: &[Picture], training: &str) -> String {
    let mut page = head(about, outcome);
    figures(&mut page, &outcome.measured);
    if !pictures.is_empty() {
        section(&mut page, "Pictures");
        let _ = writeln!(page, "<p class=\"soft\">{}</p>", legend(pictures, outcome.images));
        page.push_str("<div class=\"pictures\">\n");
        pictures.iter().for_each(|one| picture(&mut page, one));
        page.push_str("</div>\n");
    }
    page.push_str(training);
    let charts = chart::charts(&outcome.curves);
    if !charts.is_empty() {
        section(&mut page, "Curves");
        page.push_str("<p class=\"soft\">Means over the images, before each step.</p>\n");
        let _ = writeln!(page, "<div class=\"charts\">\n{charts}</div>");
    }
    params(&mut page, about);
    listed(&mut page, "Notes", &outcome.notes);
    listed(&mut page, "Files left out", &outcome.skipped);
    spec(&mut page, about);
    let _ = write!(page, "<footer>segc {} · run {}</footer>\n</body>\n</html>\n", crate::VERSION, &about.identity.hash()[..16]);
    page
}

/// A page in the style of the report; `title` is text, `body` HTML.
pub fn page(title: &str, body: &str) -> String {
    let (title, style) = (escape(title), include_str!("report.css"));
    let head = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n"
    );
    format!("{head}<body>\n<h1>{title}</h1>\n{body}<footer>segc {}</footer>\n</body>\n</html>\n", crate::VERSION)
}

/// Text with the characters that HTML gives a meaning to written out.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A param's value as one would write it in a spec.
pub(super) fn value(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(on) => on.to_string(),
        ParamValue::Int(number) => number.to_string(),
        ParamValue::Real(number) => number.to_string(),
        ParamValue::Text(text) => text.clone(),
        ParamValue::List(list) => format!("[{}]", list.iter().map(self::value).collect::<Vec<_>>().join(", ")),
        ParamValue::None => "none".into(),
    }
}

fn head(about: &About, outcome: &Outcome) -> String {
    let name = escape(&about.identity.name);
    let variants: String = about.variants.iter().map(|variant| format!(" +{}", escape(variant))).collect();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}{variants}</title>\n<style>\n{}</style>\n</head>\n<body>\n<h1>{name}<small>{variants}</small></h1>\n",
        include_str!("report.css")
    );
    let images = if outcome.images == 1 { "1 image".into() } else { format!("{} images", outcome.images) };
    let facts = [images, format!("seed {}", about.identity.seed), format!("on {}", escape(&about.identity.device))];
    let facts: String = facts.iter().map(|fact| format!("<span>{fact}</span>")).collect();
    let _ = writeln!(page, "<p class=\"facts\">{facts}</p>");
    if outcome.stopped {
        page.push_str("<p class=\"stopped\">This run is not at its end; these are the figures so far. ");
        page.push_str("If it was stopped, the same command continues it.</p>\n");
    }
    for remark in &about.remarks {
        let _ = writeln!(page, "<p class=\"stopped\">{}</p>", escape(remark));
    }
    page
}

/// The headline of a section.
pub(super) fn section(page: &mut String, title: &str) {
    let _ = writeln!(page, "<h2>{title}</h2>");
}

fn figures(page: &mut String, measured: &[Measured]) {
    if measured.is_empty() {
        return;
    }
    section(page, "Figures");
    let table = Table::of(measured);
    if !table.rows.is_empty() {
        page.push_str("<div class=\"scroll\"><table>\n<thead><tr><th></th>");
        table.columns.iter().for_each(|name| page.push_str(&format!("<th class=\"num\">{}</th>", escape(name))));
        page.push_str("</tr></thead>\n<tbody>\n");
        for (name, cells) in &table.rows {
            let _ = write!(page, "<tr><th>{}</th>", escape(name));
            for (place, cell) in cells.iter().enumerate() {
                let own = if place == 0 && cells.len() > 1 { " own" } else { "" };
                let _ = write!(page, "<td class=\"num{own}\">{}</td>", figure(*cell));
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</tbody>\n</table></div>\n");
        let samples: Vec<usize> = measured.iter().filter(|one| one.skipped.is_none()).map(|one| one.samples).collect();
        let _ = writeln!(page, "<p class=\"soft\">Means over {}.{}</p>", counts(&samples), ranks(&table));
    }
    for (one, why) in measured.iter().filter_map(|one| Some((one, one.skipped.as_ref()?))) {
        let _ = writeln!(page, "<p class=\"soft\"><code>{}</code> was not measured: {}.</p>", escape(&one.name), escape(why));
    }
}

/// Who has the highest of each figure that several have, and who comes after.
fn ranks(table: &Table) -> String {
    let one = |(column, value): &(&str, f64)| format!("<code>{}</code> {}", escape(column), figure(Some(*value)));
    let line = |(name, order): &(&str, Vec<(&str, f64)>)| {
        let order: Vec<String> = order.iter().map(one).collect();
        format!(" From the highest {}: {}.", escape(name), order.join(", "))
    };
    table.ranked().iter().map(line).collect()
}

fn counts(samples: &[usize]) -> String {
    let (low, high) = (samples.iter().min().unwrap_or(&0), samples.iter().max().unwrap_or(&0));
    if low == high { format!("{low} samples") } else { format!("{low} to {high} samples") }
}

fn legend(pictures: &[Picture], images: usize) -> String {
    let truth = if pictures.iter().any(|one| one.truth) { ", ground truth" } else { "" };
    let share = if pictures.len() < images { format!(" The first {} of {images} images.", pictures.len()) } else { String::new() };
    format!("From left to right: photograph, mask, both{truth}.{share}")
}

fn picture(page: &mut String, one: &Picture) {
    let stem = escape(&one.stem);
    let figure = one.caption.as_ref().map(|caption| format!("<span class=\"num\">{}</span>", escape(caption))).unwrap_or_default();
    let data = STANDARD.encode(&one.png);
    let _ = writeln!(
        page,
        "<figure><img alt=\"{stem}\" src=\"data:image/png;base64,{data}\"><figcaption><span>{stem}</span>{figure}</figcaption></figure>"
    );
}

fn params(page: &mut String, about: &About) {
    if about.identity.params.is_empty() {
        return;
    }
    section(page, "Params");
    page.push_str("<div class=\"scroll\"><table>\n<tbody>\n");
    for param in &about.identity.params {
        let (name, value, help) = (escape(&param.name), escape(&value(&param.value)), escape(&param.help));
        let _ = writeln!(page, "<tr><th><code>{name}</code></th><td><code>{value}</code></td><td class=\"soft\">{help}</td></tr>");
    }
    page.push_str("</tbody>\n</table></div>\n");
}

fn listed(page: &mut String, title: &str, lines: &[(String, String)]) {
    if lines.is_empty() {
        return;
    }
    section(page, title);
    page.push_str("<ul class=\"notes\">\n");
    for (name, text) in lines.iter().take(LISTED) {
        let _ = writeln!(page, "<li><b>{}</b> <span class=\"soft\">{}</span></li>", escape(name), escape(text));
    }
    page.push_str("</ul>\n");
    if lines.len() > LISTED {
        let _ = writeln!(page, "<p class=\"soft\">{} more are in <code>summary.json</code>.</p>", lines.len() - LISTED);
    }
}

fn spec(page: &mut String, about: &About) {
    section(page, "The spec");
    for (place, source) in about.identity.sources.iter().enumerate() {
        if place > 0 || about.identity.sources.len() > 1 {
            let _ = writeln!(page, "<h3>{}</h3>", escape(&source.name));
        }
        page.push_str("<pre>");
        source.text.lines().for_each(|line| page.push_str(&format!("<span>{}\n</span>", escape(line))));
        page.push_str("</pre>\n");
    }
}
