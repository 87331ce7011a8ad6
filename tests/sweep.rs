//! Sweeps and comparisons as their user sees them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use support::{home, segc};

mod support;

const SPEC: &str = "param size = 8\nparam level = 0.5\n\
    data images = pictures() |> resize(size) |> chunk(0, of: 20)\n\
    let grey = mean(images.image, over: channel)\n\
    let mask = indicator(grey > level)\n\
    output masks = mask over images\n\
    eval test over images.test = { iou: mean(mask * images.label), grey: mean(grey) }\n\
    variant strict { level = 0.75 } reported { test.iou: 0.125 }\n\
    variant small { size = 4 }\n";

fn sheet(home: &Path, out: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(home.join(out).join("sweep.json")).unwrap()).unwrap()
}

#[test]
fn a_sweep_has_every_variant_with_every_seed_and_the_papers_figure() {
    let home = home();
    fs::write(home.path().join("a.seg"), SPEC).unwrap();
    let said = segc(home.path(), &["sweep", "a.seg", "--seeds", "2", "--out", "all", "--quiet"]);
    said.succeeds();
    let rows: Vec<&str> = said.out.lines().skip(1).take(4).collect();
    assert!(rows[0].contains("test.iou") && rows[0].contains("paper"), "{rows:?}");
    assert!(rows[1].starts_with("default") && rows[2].starts_with("strict") && rows[3].starts_with("small"), "{rows:?}");
    assert!(rows[2].contains('±') && rows[2].contains("0.1250"), "{rows:?}");
    let sheet = sheet(home.path(), "all");
    let strict = &sheet["variants"][1];
    let figures: Vec<f64> = [0, 1].map(|seed| strict["seeds"][seed]["figures"]["test.iou"].as_f64().unwrap()).to_vec();
    let (mean, half) = ((figures[0] + figures[1]) / 2.0, (figures[0] - figures[1]) / 2.0);
    assert!((strict["spread"]["test.iou"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
    assert!((strict["spread"]["test.iou"]["deviation"].as_f64().unwrap() - half.abs() * 2f64.sqrt()).abs() < 1e-12);
    assert_eq!(strict["reported"]["test.iou"], 0.125);
    assert!(fs::read_to_string(home.path().join("all/sweep.html")).unwrap().contains("strict/seed-1/report.html"));
}

#[test]
fn a_sweep_goes_on_where_it_was_stopped() {
    let home = home();
    fs::write(home.path().join("a.seg"), SPEC).unwrap();
    let part = |words: &[&str]| segc(home.path(), words);
    let whole = part(&["sweep", "a.seg", "--variants", "none,strict", "--seeds", "2", "--out", "whole", "--quiet"]);
    whole.succeeds();
    part(&["run", "a.seg", "--out", "parts/default/seed-0"]).succeeds();
    part(&["run", "a.seg", "+strict", "--seed", "1", "--out", "parts/strict/seed-1", "--stop-after", "5"]).succeeds();
    let before = fs::metadata(home.path().join("parts/default/seed-0/summary.json")).unwrap().modified().unwrap();
    let said = part(&["sweep", "a.seg", "--variants", "none,strict", "--seeds", "2", "--out", "parts"]);
    said.succeeds();
    assert!(said.err.contains("default, seed 0 (1 of 4), done before"), "{}", said.err);
    assert!(said.err.contains("continuing parts/strict/seed-1"), "{}", said.err);
    assert_eq!(fs::metadata(home.path().join("parts/default/seed-0/summary.json")).unwrap().modified().unwrap(), before);
    assert_eq!(sheet(home.path(), "parts"), sheet(home.path(), "whole"));
}

#[test]
fn a_variant_that_fails_is_counted_and_the_others_run() {
    let home = home();
    fs::write(home.path().join("a.seg"), format!("{SPEC}variant broken {{ size = 0 }}\n")).unwrap();
    let said = segc(home.path(), &["sweep", "a.seg", "--variants", "broken,small", "--seeds", "1", "--out", "s", "--quiet"]);
    said.fails(2, &[]);
    assert!(said.out.contains("0, 1 failed"), "{}", said.out);
    assert_eq!(sheet(home.path(), "s")["variants"][1]["seeds"][0]["exit"], 0);
    let said = segc(home.path(), &["sweep", "a.seg", "--variants", "brokn"]);
    said.fails(2, &["there is no variant `brokn`; the spec has strict, small, broken"]);
}

#[test]
fn runs_are_compared_by_what_differs() {
    let home = home();
    fs::write(home.path().join("a.seg"), SPEC).unwrap();
    for (out, more) in [("x", None), ("y", Some("+strict"))] {
        let words: Vec<&str> = ["run", "a.seg", "--out", out, "--quiet"].into_iter().chain(more).collect();
        segc(home.path(), &words).succeeds();
    }
    let said = segc(home.path(), &["compare", "x", "y", "--html", "page.html"]);
    said.succeeds();
    let line = |start: &str| said.out.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_string();
    assert!(line("level").contains("0.5") && line("level").contains("0.75"), "{}", said.out);
    assert!(line("variants").contains("+strict") && line("size").is_empty(), "{}", said.out);
    assert!(line("test.iou").matches('*').count() == 1 && said.out.contains("1 more figure the same"), "{}", said.out);
    let page = fs::read_to_string(home.path().join("page.html")).unwrap();
    assert!(page.contains("x/grid.png") && page.contains("<th>level</th>"), "{page}");
    let said = segc(home.path(), &["compare", "x", "nowhere"]);
    said.fails(2, &["nowhere is not the folder of a run"]);
}
