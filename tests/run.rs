//! Whole runs: good data gives the documented folder to the same bytes, bad data and bad disks are named, a stopped run continues.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Said, assert_same, files, home, segc};

mod support;

/// Writes `count` photographs of 40 x 30 pixels, a bright square on a dark gradient, and their masks.
fn photographs(home: &Path, count: usize) {
    fs::create_dir_all(home.join("photos")).unwrap();
    fs::create_dir_all(home.join("labels")).unwrap();
    for number in 0..count {
        let inside = |x: usize, y: usize| (8 + number % 7..26).contains(&x) && (6..24).contains(&y);
        let pixels = (0..30usize).flat_map(|y| (0..40usize).map(move |x| (x, y)));
        let photo = pixels.clone().flat_map(|(x, y)| if inside(x, y) { [230, 200, 40] } else { [20 + x as u8, 30 + y as u8, 60] });
        let label = pixels.map(|(x, y)| if inside(x, y) { 255 } else { 0 });
        write_pnm(&home.join(format!("photos/{number:03}.ppm")), "P6 40 30 255", photo.collect());
        write_pnm(&home.join(format!("labels/{number:03}.pgm")), "P5 40 30 255", label.collect());
    }
}

fn write_pnm(path: &Path, header: &str, pixels: Vec<u8>) {
    fs::write(path, [format!("{header}\n").into_bytes(), pixels].concat()).unwrap();
}

const DATA: [&str; 4] = ["--set", "photos=photos", "--set", "labels=labels"];

fn run(home: &Path, out: &str, more: &[&str]) -> Said {
    segc(home, &[&["run", "good.seg", "--out", out], &DATA[..], more].concat())
}

fn summary(out: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap()
}

/// A figure that all images share.
const SHARED: &str = "use std::metrics
param photos: folder = none
param labels: folder = none
data images = pictures(photos, labels: labels) |> resize(16)
let bright = mean(images.image, over: channel)
eval peak = { f: max(average(metrics::f_measures(bright, images.label), over: images)) }
output masks = bright over images
";

#[test]
fn what_all_images_share_is_measured_where_there_is_ground_truth() {
    let home = home();
    fs::write(home.path().join("good.seg"), SHARED).unwrap();
    photographs(home.path(), 3);
    run(home.path(), "with", &[]).succeeds();
    let found = summary(&home.path().join("with"))["metrics"]["peak.f"].as_f64().unwrap();
    assert!(found > 0.9, "the bright square has an F-measure of {found}");
    let said = segc(home.path(), &["run", "good.seg", "--out", "without", "--set", "photos=photos"]);
    said.succeeds();
    assert!(said.out.contains("peak was not measured: the data has no ground truth"), "{}", said.out);
}

/// The logarithm of what is below zero, far from where it is used.
const NOT_FINITE: &str = "data images = pictures() |> resize(16)
let dark = images.image - 1/2
let depth = log(dark)
solve cut for 3 steps {
    state m = indicator(mean(dark, over: channel) > 0)
    next m = where(sum(depth, over: channel) > 0, m, 1 - m)
}
output masks = cut.m over images
";

#[test]
fn the_op_that_makes_nan_is_named_with_its_place_and_what_it_read() {
    let home = home();
    fs::write(home.path().join("dark.seg"), NOT_FINITE).unwrap();
    let plain = segc(home.path(), &["run", "dark.seg", "--out", "plain"]);
    plain.succeeds();
    let watched = segc(home.path(), &["run", "dark.seg", "--out", "watched", "--check-nan"]);
    let words = ["not-finite", "`log` made NaN", "step 0 of cut", "dark.seg:3:13", "of 256 NaN", "it read [16, 16] from "];
    watched.fails(5, &words);
    let healthy = segc(home.path(), &["run", "good.seg", "--out", "healthy", "--check-nan=2"]);
    healthy.succeeds();
}

#[test]
fn a_run_writes_the_documented_folder() {
    let home = home();
    photographs(home.path(), 6);
    let said = run(home.path(), "out", &[]);
    said.succeeds();
    for text in ["iou", "masks", "full", "report: out/report.html"] {
        assert!(said.out.contains(text), "{text:?} is not said:\n{}", said.out);
    }
    let out = home.path().join("out");
    let names: Vec<String> = files(&out).keys().map(|name| name.display().to_string()).collect();
    let masks: Vec<String> = (0..6).map(|number| format!("masks/{number:03}.png")).collect();
    let others = ["grid.png", "metrics.jsonl", "report.html", "summary.json"].map(String::from);
    assert_eq!(names, [&others[..1], &masks, &others[1..]].concat());
    // Width and height stand at a fixed place of a PNG.
    let mask = fs::read(out.join("masks/003.png")).unwrap();
    assert_eq!((&mask[16..20], &mask[20..24]), (&40u32.to_be_bytes()[..], &30u32.to_be_bytes()[..]));
    let summary = summary(&out);
    assert_eq!(summary["images"], 6);
    assert!(summary["metrics"]["masks.iou"].as_f64().unwrap() > summary["metrics"]["full.iou"].as_f64().unwrap(), "{summary}");
    let run: serde_json::Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["params"]["photos"], "photos");
    assert_eq!(run["spec"]["texts"][0]["text"], fs::read_to_string(home.path().join("good.seg")).unwrap());
}

#[test]
fn a_profile_names_kernels_and_places_and_changes_no_result() {
    let home = home();
    photographs(home.path(), 2);
    run(home.path(), "plain", &[]).succeeds();
    let said = run(home.path(), "measured", &["--profile"]);
    said.succeeds();
    assert!(said.out.contains("of ceiling") && said.out.contains("good.seg:"), "{}", said.out);
    let trace: serde_json::Value = serde_json::from_slice(&fs::read(home.path().join("measured/profile.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    assert!(events.iter().any(|event| event["args"]["flop"].as_u64().is_some_and(|flop| flop > 0)));
    fs::remove_file(home.path().join("measured/profile.json")).unwrap();
    assert_same(&home.path().join("plain"), &home.path().join("measured"));
}

#[test]
fn threads_fusion_and_repetition_change_no_byte() {
    let home = home();
    photographs(home.path(), 9);
    run(home.path(), "a", &["--threads", "1"]).succeeds();
    run(home.path(), "b", &["--threads", "2"]).succeeds();
    run(home.path(), "c", &["--threads", "2", "--no-fuse"]).succeeds();
    assert_same(&home.path().join("a"), &home.path().join("b"));
    assert_same(&home.path().join("a"), &home.path().join("c"));
}

#[test]
fn without_labels_evaluations_are_left_out_with_a_line() {
    let home = home();
    photographs(home.path(), 2);
    let said = segc(home.path(), &["run", "good.seg", "--out", "out", "--set", "photos=photos"]);
    said.succeeds();
    assert!(said.out.contains("masks was not measured"), "{}", said.out);
    assert!(home.path().join("out/masks/000.png").is_file());
}

#[test]
fn quiet_says_nothing_and_another_run_is_not_overwritten() {
    let home = home();
    photographs(home.path(), 3);
    let quiet = run(home.path(), "out", &["--quiet"]);
    quiet.succeeds();
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    run(home.path(), "out", &["--set", "rounds=3"]).fails(2, &["rounds is 10 there and 3 here", "--overwrite", "--out"]);
    run(home.path(), "out", &["--seed", "4"]).fails(2, &["the seed is 0 there and 4 here"]);
    let again = run(home.path(), "out", &[]);
    again.succeeds();
    assert!(again.err.contains("complete") && again.out.contains("iou"), "{}{}", again.err, again.out);
    run(home.path(), "out", &["--set", "rounds=3", "--overwrite"]).succeeds();
}

#[test]
fn a_move_that_the_picture_decides_runs() {
    let home = home();
    let text = "data images = pictures() |> shorter_side(16) |> center_crop(16)
let grey = mean(images.image, over: channel)
output masks = translate(grey, right: mean(grey), down: 0) over images
";
    fs::write(home.path().join("moves.seg"), text).unwrap();
    segc(home.path(), &["run", "moves.seg", "--out", "out"]).succeeds();
}

/// A mean over the data that only a solve reads.
const BRIGHTER: &str = r#"//! Brighter than usual.
data images = pictures() |> shorter_side(16) |> center_crop(16)
let grey  = mean(images.image, over: channel)
let usual = average(grey, over: images.test)
solve cut for 2 steps {
    state m = indicator(grey > usual)
    let uphill = grad(sum(m * (grey - usual)), wrt: m)
    next m = indicator(uphill > 0)
}
output masks = cut.m over images
"#;

#[test]
fn a_solve_may_read_a_mean_over_the_data() {
    let home = home();
    fs::write(home.path().join("brighter.seg"), BRIGHTER).unwrap();
    segc(home.path(), &["run", "brighter.seg", "--out", "out", "--quiet"]).succeeds();
    let masks = fs::read_dir(home.path().join("out/masks")).unwrap().count();
    assert_eq!(masks, 500);
}

/// A mask that is emptied by its second step: the mean over it is no number.
const EMPTIES: &str = r#"//! Empties.
use std::mask
data images = pictures() |> shorter_side(16) |> center_crop(16)
solve cut for 60 steps {
    state m = mask::square(16, side: 8)
    let inside = sum(images.image * m) / sum(m)
    let uphill = grad(inside, wrt: m)
    next m = where(sum(m) < 30, 0, where(uphill > 0, 0, m)) * m
}
output masks = cut.m over images
"#;

#[test]
fn a_mask_that_empties_stops_at_its_last_valid_state_and_is_named() {
    let home = home();
    fs::write(home.path().join("empties.seg"), EMPTIES).unwrap();
    segc(home.path(), &["run", "empties.seg", "--out", "out", "--quiet"]).succeeds();
    let summary = summary(&home.path().join("out"));
    let notes = summary["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 500, "{:?}", notes.first());
    assert!(notes[0].to_string().contains("the last valid one is kept"), "{}", notes[0]);
    let mask = image::open(home.path().join("out/masks/scene-10000.png")).unwrap().into_luma8();
    assert!(mask.pixels().any(|pixel| pixel.0 == [255]), "the empty mask was kept");
}

#[test]
fn a_spec_without_output_is_measured_only() {
    let home = home();
    photographs(home.path(), 3);
    let path = home.path().join("good.seg");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("output masks = cut.m over images", "")).unwrap();
    run(home.path(), "out", &[]).succeeds();
    assert!(summary(&home.path().join("out"))["metrics"]["masks.iou"].as_f64().is_some());
}

#[test]
fn misspelt_variants_and_params_get_the_nearest() {
    let home = home();
    let said = |words: &[&str]| segc(home.path(), &[&["run", "good.seg"], words].concat());
    said(&["+largr"]).fails(2, &["largr", "larger"]);
    said(&["--set", "sise=64"]).fails(2, &["sise", "size"]);
    said(&["--set", "size=big"]).fails(2, &["size", "big"]);
    said(&["--set", "size=[1"]).fails(2, &["size"]);
}

#[test]
fn what_no_executor_runs_yet_is_refused() {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    segc(&repository, &["run", "specs/kdd.seg"]).fails(2, &["not-executable-yet", "kdd.seg"]);
}

#[test]
fn folders_without_photographs_are_refused() {
    let home = home();
    fs::create_dir(home.path().join("empty")).unwrap();
    fs::write(home.path().join("notes.txt"), "no picture").unwrap();
    let said = |photos: &str| segc(home.path(), &["run", "good.seg", "--out", "out", "--set", &format!("photos={photos}")]);
    said("empty").fails(3, &["empty"]);
    said("nowhere").fails(3, &["nowhere"]);
    said("notes.txt").fails(3, &["notes.txt"]);
    assert!(!home.path().join("out").exists(), "a run that found nothing leaves a folder");
}

#[test]
fn bad_photographs_are_named_and_the_run_goes_on() {
    let home = home();
    photographs(home.path(), 2);
    let photos = home.path().join("photos");
    fs::write(photos.join("empty.png"), "").unwrap();
    fs::write(photos.join("text.png"), "this is no picture at all").unwrap();
    fs::write(photos.join("cut.jpg"), b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xdb\0\x43\0\x08\x06").unwrap();
    fs::write(photos.join("vast.ppm"), "P6 20000 20000 255\n").unwrap();
    write_pnm(&photos.join("dot.ppm"), "P6 1 1 255", vec![9, 9, 9]);
    let said = run(home.path(), "out", &[]);
    said.succeeds();
    for name in ["empty.png", "text.png", "cut.jpg", "vast.ppm"] {
        assert!(said.err.contains(name), "{name} is not named:\n{}", said.err);
    }
    let summary = summary(&home.path().join("out"));
    assert!(summary["skipped"].as_array().unwrap().len() >= 4, "{summary}");
    assert!(summary["metrics"]["masks.iou"].as_f64().is_some_and(|iou| iou > 0.5), "{summary}");
}

#[test]
fn masks_that_do_not_fit_are_named() {
    let home = home();
    photographs(home.path(), 4);
    write_pnm(&home.path().join("labels/001.pgm"), "P5 7 5 255", vec![255; 35]);
    fs::remove_file(home.path().join("labels/002.pgm")).unwrap();
    fs::rename(home.path().join("photos/003.ppm"), home.path().join("photos/other.ppm")).unwrap();
    let said = run(home.path(), "out", &[]);
    said.succeeds();
    for name in ["001", "002", "003.pgm", "other.ppm"] {
        assert!(said.err.contains(name), "{name} is not named:\n{}", said.err);
    }
}

#[test]
fn a_place_that_cannot_be_written_is_an_environment_error() {
    let home = home();
    photographs(home.path(), 2);
    run(home.path(), "good.seg/out", &[]).fails(6, &["good.seg/out", "--out"]);
}

/// `/dev/full` takes no byte, like a disk without space.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_environment_error_and_leaves_no_half() {
    let home = home();
    photographs(home.path(), 2);
    let out = home.path().join("out");
    fs::create_dir(&out).unwrap();
    std::os::unix::fs::symlink("/dev/full", out.join(".run.json.part")).unwrap();
    run(home.path(), "out", &[]).fails(6, &["run.json", "free some space"]);
    assert!(!out.join("run.json").exists());
    std::os::unix::fs::symlink("/dev/full", out.join(".grid.png.part")).unwrap();
    run(home.path(), "out", &[]).fails(6, &["grid.png"]);
    assert!(!out.join("grid.png").exists() && !out.join("summary.json").exists());
    run(home.path(), "out", &[]).succeeds();
    assert!(out.join("grid.png").is_file());
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_the_same_command_continues_to_the_same_bytes() {
    let home = home();
    photographs(home.path(), 150);
    let slow = ["--set", "size=64", "--set", "rounds=200", "--threads", "1"];
    let words = [&["run", "good.seg", "--out", "halted"], &DATA[..], &slow].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_segc"));
    let child = command.args(&words).current_dir(home.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let halted = home.path().join("halted");
    wait_for_lines(&halted.join("unfinished/images.jsonl"), 3);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let said = Said::of(child.wait_with_output().unwrap());
    said.fails(75, &["stopped", "same command continues"]);
    assert_eq!(summary(&halted)["complete"], false);
    assert!(halted.join("report.html").is_file());
    let said = segc(home.path(), &words);
    said.succeeds();
    assert!(said.err.contains("were done before"), "{}", said.err);
    run(home.path(), "straight", &slow).succeeds();
    assert_same(&halted, &home.path().join("straight"));
}

#[cfg(unix)]
fn wait_for_lines(path: &Path, count: usize) {
    let start = Instant::now();
    while fs::read_to_string(path).unwrap_or_default().lines().count() < count {
        assert!(start.elapsed() < Duration::from_secs(120), "no image was done in two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}
