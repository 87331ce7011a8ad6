//! Training runs: they continue to the same bytes after stops and kills, refuse what is damaged, and name what goes wrong.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use support::{NOT_FINITE, Said, assert_same, files, segc};

mod support;

/// A generator, a critic and a net in three phases, with every kind of statement.
const TINY: &str = include_str!("run/tiny.seg");

fn home() -> tempfile::TempDir {
    let home = support::home();
    fs::write(home.path().join("tiny.seg"), TINY).unwrap();
    home
}

fn run(home: &Path, out: &str, more: &[&str]) -> Said {
    let every = if more.contains(&"--checkpoint-every") { &[][..] } else { &["--checkpoint-every", "4"] };
    segc(home, &[&["run", "tiny.seg", "--out", out], every, more].concat())
}

#[test]
fn a_run_that_stops_after_steps_continues_to_the_same_bytes_on_any_threads() {
    let home = home();
    run(home.path(), "straight", &["--threads", "2"]).succeeds();
    for step in [1, 5, 12, 13, 15, 16, 21, 22, 27, 28, 60] {
        let said = run(home.path(), "halted", &["--stop-after", &step.to_string(), "--threads", "1"]);
        said.succeeds();
        assert!(said.err.contains("stopped after the steps"), "{}", said.err);
        let summary = fs::read_to_string(home.path().join("halted/summary.json")).unwrap();
        assert!(summary.contains("\"complete\": false"), "{summary}");
    }
    run(home.path(), "halted", &["--threads", "1"]).succeeds();
    assert_same(&home.path().join("straight"), &home.path().join("halted"));
    let metrics = fs::read_to_string(home.path().join("straight/metrics.jsonl")).unwrap();
    for word in ["\"losses\"", "\"measured\"", "\"shown\"", "\"kept\"", "\"restarted\":1", "\"finished\":true"] {
        assert!(metrics.contains(word), "{word} is not among\n{metrics}");
    }
}

/// Runs are killed at random moments; `SEGC_KILLS` says how often.
#[cfg(unix)]
#[test]
fn a_killed_run_continues_to_the_same_bytes() {
    let home = home();
    let begun = Instant::now();
    run(home.path(), "straight", &[]).succeeds();
    let whole = begun.elapsed();
    let kills: u64 = std::env::var("SEGC_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(3);
    for number in 0..kills {
        let out = format!("killed {number}");
        // A few kills of each run, at moments that spread over its time.
        for turn in 0..3 {
            let part = (number * 7919 + turn * 104_729 + 31) % 1000;
            kill(home.path(), &out, whole.mul_f64(part as f64 / 1000.0));
        }
        run(home.path(), &out, &[]).succeeds();
        assert_same(&home.path().join("straight"), &home.path().join(&out));
        fs::remove_dir_all(home.path().join(&out)).unwrap();
    }
}

#[test]
fn a_run_killed_after_its_summary_loses_its_journal_at_the_next_start() {
    let home = home();
    run(home.path(), "straight", &[]).succeeds();
    run(home.path(), "killed", &[]).succeeds();
    fs::create_dir(home.path().join("killed/unfinished")).unwrap();
    fs::write(home.path().join("killed/unfinished/images.jsonl"), "").unwrap();
    run(home.path(), "killed", &[]).succeeds();
    assert_same(&home.path().join("straight"), &home.path().join("killed"));
}

#[cfg(unix)]
fn kill(home: &Path, out: &str, after: Duration) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segc"));
    let words = ["run", "tiny.seg", "--out", out, "--checkpoint-every", "4", "--quiet"];
    let mut child = command.args(words).current_dir(home).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_the_step_at_hand() {
    let home = home();
    let words = ["run", "tiny.seg", "--out", "halted", "--set", "length=100000"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_segc"));
    let child = command.args(words).current_dir(home.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = home.path().join("halted/metrics.jsonl");
    let begun = Instant::now();
    while !metrics.is_file() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no step was done in two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    Said::of(child.wait_with_output().unwrap()).fails(75, &["stopped", "same command continues"]);
    assert!(home.path().join("halted/checkpoints/last.safetensors").is_file());
    assert!(home.path().join("halted/report.html").is_file());
}

#[test]
fn a_damaged_checkpoint_is_refused_with_a_whole_one_named() {
    let home = home();
    run(home.path(), "out", &["--stop-after", "9"]).succeeds();
    let last = home.path().join("out/checkpoints/last.safetensors");
    let good = fs::read(&last).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 4;
    fs::write(&last, &bad).unwrap();
    run(home.path(), "out", &[]).fails(4, &["last.safetensors is damaged", "the hash differs", "8.safetensors beside it is whole"]);
    fs::write(&last, &good[..good.len() - 7]).unwrap();
    run(home.path(), "out", &[]).fails(4, &["last.safetensors is damaged", "cut off", "8.safetensors beside it is whole"]);
    fs::copy(home.path().join("out/checkpoints/8.safetensors"), &last).unwrap();
    run(home.path(), "out", &[]).succeeds();
    run(home.path(), "straight", &[]).succeeds();
    assert_eq!(
        files(&home.path().join("out"))[Path::new("metrics.jsonl")],
        files(&home.path().join("straight"))[Path::new("metrics.jsonl")]
    );
}

#[test]
fn the_checkpoint_of_another_run_is_refused_with_the_difference() {
    let home = home();
    run(home.path(), "a", &["--stop-after", "4"]).succeeds();
    run(home.path(), "b", &["--stop-after", "4", "--set", "latent=5"]).succeeds();
    run(home.path(), "a", &["--set", "latent=5"]).fails(2, &["latent is 6 there and 5 here"]);
    let last = |out: &str| home.path().join(out).join("checkpoints/last.safetensors");
    fs::remove_file(last("a")).unwrap();
    fs::copy(last("b"), last("a")).unwrap();
    run(home.path(), "a", &[]).fails(4, &["belongs to another run", "latent is 5 there and 6 here", "--overwrite"]);
    run(home.path(), "a", &["--overwrite", "--stop-after", "2"]).succeeds();
}

#[test]
fn so_many_checkpoints_are_kept_as_were_asked_for() {
    let home = home();
    run(home.path(), "out", &["--checkpoint-every", "2", "--keep-checkpoints", "2", "--stop-after", "9"]).succeeds();
    let mut names: Vec<_> = fs::read_dir(home.path().join("out/checkpoints")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["8.safetensors", "9.safetensors", "last.safetensors"]);
}

#[test]
fn a_loss_that_is_no_number_names_op_place_phase_and_step() {
    let home = home();
    fs::write(home.path().join("nan.seg"), NOT_FINITE).unwrap();
    let said = segc(home.path(), &["run", "nan.seg", "--out", "out"]);
    said.fails(5, &["not-finite", "`log` made NaN", "phase down, step 2, `gap`", "nan.seg:7"]);
}

#[test]
fn a_spec_without_training_stops_after_images() {
    let home = home();
    let text = "data images = pictures(scenes: easy) |> resize(8)\n\
        output masks = mean(images.image, over: channel) over images\n\
        eval light over images.test = mean(images.image)\n";
    fs::write(home.path().join("plain.seg"), text).unwrap();
    segc(home.path(), &["run", "plain.seg", "--out", "straight"]).succeeds();
    for step in ["20", "300"] {
        let said = segc(home.path(), &["run", "plain.seg", "--out", "halted", "--stop-after", step, "--checkpoint-every", "5"]);
        said.succeeds();
        assert!(said.err.contains("stopped after the steps"), "{}", said.err);
    }
    segc(home.path(), &["run", "plain.seg", "--out", "halted"]).succeeds();
    assert_same(&home.path().join("straight"), &home.path().join("halted"));
}

#[test]
fn what_is_shown_may_be_made_of_the_whole_batch() {
    let home = support::home();
    let spec = "use std::gan
        data images = pictures() |> resize(8) |> range(-1, 1)
        net scaled()(x: image) -> image {
            weight a: real = 1
            return a * x
        }
        model F = scaled()
        let y = images.image
        loss small = mean(F(y)^2)
        train learn for 1 steps, batch 4 {
            update F by small with adam(1e-3)
            every 1 steps { show 3 of y, gan::neighbour(y) }
        }
        eval size over images.test = mean(F(y)^2)";
    fs::write(home.path().join("pair.seg"), spec).unwrap();
    segc(home.path(), &["run", "pair.seg", "--out", "out"]).succeeds();
    let shown = image::open(home.path().join("out/pictures/learn-000001-0.png")).unwrap();
    // Pictures of 64 pixels with gaps of 3.
    let tile = |row: u32, column: u32| shown.crop_imm(3 + 67 * column, 3 + 67 * row, 64, 64).into_bytes();
    for column in 0..3 {
        assert!(tile(1, column) == tile(0, (column + 1) % 3), "{column}");
        assert!(tile(1, column) != tile(0, column), "{column}");
    }
}

/// Files of the cache beside the runs, but for its marks.
fn kept(home: &Path) -> Vec<std::path::PathBuf> {
    let all = files(&home.join(".segc-cache")).into_keys();
    let mut all: Vec<_> = all.filter(|name| name.extension().is_some_and(|ending| ending == "safetensors")).collect();
    all.sort();
    all.into_iter().map(|name| home.join(".segc-cache").join(name)).collect()
}

#[test]
fn what_a_frozen_model_makes_of_an_image_is_computed_once() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    fs::write(home.join("known.seg"), include_str!("run/known.seg")).unwrap();
    let run = |out: &str, more: &[&str]| segc(home, &[&["run", "known.seg", "--out", out, "--quiet"], more].concat());
    run("alone", &["--no-cache"]).succeeds();
    assert!(!home.join(".segc-cache").exists());
    run("first", &[]).succeeds();
    assert_same(&home.join("alone"), &home.join("first"));
    let entries = kept(home);
    assert_eq!(entries.len(), 24, "one for each image that trains");

    run("second", &[]).succeeds();
    assert_same(&home.join("alone"), &home.join("second"));
    assert_eq!(kept(home), entries);

    // What is read is what was kept: with the features of one image for all, the net learns something else.
    let good: Vec<Vec<u8>> = entries.iter().map(|path| fs::read(path).unwrap()).collect();
    entries.iter().for_each(|path| fs::write(path, &good[0]).unwrap());
    run("exchanged", &[]).succeeds();
    let masks = |out: &str| fs::read(home.join(out).join("checkpoints/last.safetensors")).unwrap();
    assert_ne!(masks("exchanged"), masks("alone"));

    // What is damaged is computed again.
    for (path, bytes) in entries.iter().zip(&good) {
        let mut bytes = bytes.clone();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, &bytes).unwrap();
    }
    fs::write(&entries[3], b"cut off").unwrap();
    run("mended", &[]).succeeds();
    assert_same(&home.join("alone"), &home.join("mended"));
    assert!(entries.iter().zip(&good).all(|(path, bytes)| fs::read(path).unwrap() == *bytes));

    // Other weights and other images are other entries.
    run("seed", &["--seed", "1"]).succeeds();
    assert_eq!(kept(home).len(), 48);
    run("shift", &["--set", "shift=0.5"]).succeeds();
    assert_eq!(kept(home).len(), 72);
}

#[test]
fn a_run_of_one_device_goes_on_on_another() {
    let home = home();
    run(home.path(), "begun", &["--stop-after", "5"]).succeeds();
    let before = files(&home.path().join("begun"));
    let moved = ["--from", "begun", "--stop-after", "7"];
    run(home.path(), "moved", &[&moved[..], &["--on", "reference"]].concat()).succeeds();
    assert!(before == files(&home.path().join("begun")), "the run that was begun is no longer what it was");
    // The same steps on one device, from the same state: those of the reference differ in their last bits only.
    run(home.path(), "straight", &["--stop-after", "7"]).succeeds();
    let last = |out: &str| fs::read(home.path().join(out).join("checkpoints/last.safetensors")).unwrap();
    let (moved_bytes, straight) = (last("moved"), last("straight"));
    let (moved_state, straight_state) = (SafeTensors::deserialize(&moved_bytes).unwrap(), SafeTensors::deserialize(&straight).unwrap());
    assert_eq!(moved_state.names().len(), straight_state.names().len());
    for (name, tensor) in straight_state.tensors() {
        let numbers = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect::<Vec<f32>>();
        let (a, b) = (numbers(moved_state.tensor(&name).unwrap().data()), numbers(tensor.data()));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(1.0)), "{name}");
    }
    // On its own device it is the same run, in another folder.
    run(home.path(), "copied", &moved).succeeds();
    assert_eq!(last("copied"), straight);
    run(home.path(), "other", &[&moved[..], &["--seed", "3"]].concat()).fails(4, &["the seed is 0 there and 3 here"]);
    run(home.path(), "none", &["--from", "nowhere"]).fails(4, &["nowhere holds no checkpoint"]);
}
