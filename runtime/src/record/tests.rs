//! Whole run directories, with made-up findings.

use std::collections::BTreeSet;
use std::fs;

use segc_lang::spec::{Param, ParamValue};

use super::*;
use crate::data::Frame;
use crate::outcome::{Curve, Measured};

type Test = Result<(), Box<dyn std::error::Error>>;

fn about(size: i64) -> About {
    let text = "//! A spec.\nparam size = 32 \"side\"\nlet a = 1 < 2\n";
    let source = Text { name: "made.seg".into(), text: text.into(), canonical: text.into() };
    let params = vec![
        Param { name: "size".into(), value: ParamValue::Int(size), help: "side of the images, pixels".into() },
        Param {
            name: "starts".into(),
            value: ParamValue::List(vec![ParamValue::Real(0.5), ParamValue::Real(0.75)]),
            help: "squares".into(),
        },
        Param { name: "photos".into(), value: ParamValue::None, help: "a folder of images; none: the built-in scenes".into() },
    ];
    let identity = Identity { name: "made".into(), sources: vec![source], params, seed: 7, weights: Vec::new(), device: "cpu".into() };
    About { identity, variants: vec!["paper".into()], sets: Vec::new(), threads: 2, remarks: Vec::new() }
}

/// A disc on a gradient, somewhere else in each image.
fn found(index: usize) -> Found {
    let (height, width) = (48, 64);
    let inside = |at: usize| {
        let (x, y) = ((at % width) as f64 - 20.0 - index as f64, (at / width) as f64 - 24.0);
        if x * x + y * y < 150.0 { 1.0 } else { 0.0 }
    };
    let mask: Vec<f32> = (0..height * width).map(inside).collect();
    let shade = |channel: usize| {
        let mask = &mask;
        (0..height * width).map(move |at| {
            let ground = (at % width) as f32 / width as f32 * 1.6 - 0.9 + 0.2 * ((at / 7) % 3) as f32;
            mask[at] * [0.9, 0.1, -0.6][channel] + (1.0 - mask[at]) * ground * [0.4, 0.9, 0.7][channel]
        })
    };
    Found {
        pass: 0,
        index,
        stem: format!("picture {}", index % 20),
        image: (0..3).flat_map(shade).collect(),
        label: Some(mask.iter().enumerate().map(|(at, m)| if at % width < 22 { 0.0 } else { *m }).collect()),
        mask,
        size: (height, width),
        frame: Frame { photo: (128, 96), window: (0.0, 0.0, 128.0, 96.0) },
        range: [(-1.0, 1.0); 3],
        photo: None,
        values: vec![("masks.iou".into(), 0.5 + index as f64 / 100.0), ("full.iou".into(), 0.2)],
        curves: vec![("cut[1/2].error".into(), vec![0.1, 0.3 + index as f32, f32::NAN])],
        notes: if index == 3 { vec!["cut[1/2]: the mask emptied at step 12; the last valid one is kept".into()] } else { Vec::new() },
    }
}

fn outcome(stopped: bool) -> Outcome {
    let measured = |name: &str, iou: f64| Measured {
        name: name.into(),
        values: vec![("iou".into(), iou), ("accuracy".into(), 0.9 * iou)],
        samples: 22,
        skipped: None,
    };
    let points =
        |from: f64| (0..31).map(|step| from * (1.0 - (-0.2 * f64::from(step)).exp()) + 0.01 * (1.7 * f64::from(step)).sin()).collect();
    let curve = |name: &str, from| Curve { name: name.into(), points: points(from) };
    Outcome {
        measured: vec![
            measured("masks", 0.61),
            measured("full", 0.2),
            measured("disc", 0.33),
            Measured {
                name: "boxes".into(),
                values: Vec::new(),
                samples: 0,
                skipped: Some("no labels are given (`--set labels=FOLDER`)".into()),
            },
        ],
        curves: vec![
            curve("cut[1/2].error", 0.4),
            curve("cut[3/4].error", 0.3),
            curve("cut[1/2].spread", 0.1),
            curve("cut[3/4].spread", 12.0),
        ],
        images: 22,
        skipped: vec![("photos/broken.jpg".into(), "the file ends in the middle of the picture".into())],
        notes: vec![("picture 3".into(), "cut[1/2]: the mask emptied at step 12; the last valid one is kept".into())],
        stopped,
    }
}

fn ready(out: &Path, about: About) -> Result<Box<Recorder>, Box<dyn std::error::Error>> {
    match Recorder::open(out, about, false)? {
        Opened::Ready(recorder) => Ok(recorder),
        Opened::Complete(_) => Err("complete".into()),
    }
}

/// Every file of a folder with its content, but for run.json.
fn files(out: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, std::io::Error> {
    let mut all = BTreeMap::new();
    let mut folders = vec![out.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(RUN) {
                all.insert(path.strip_prefix(out).map(Path::to_path_buf).unwrap_or_default(), fs::read(&path)?);
            }
        }
    }
    Ok(all)
}

fn straight(out: &Path) -> Test {
    let mut recorder = ready(out, about(32))?;
    (0..22).try_for_each(|index| recorder.found(&found(index)))?;
    recorder.finish(&outcome(false))?;
    Ok(())
}

#[test]
fn a_run_directory_is_whole() -> Test {
    let home = tempfile::tempdir()?;
    // Set to look at the pictures and the report by eye.
    let kept = std::env::var_os("SEGC_KEEP_RECORD").map(PathBuf::from);
    let out = kept.unwrap_or_else(|| home.path().join("run"));
    straight(&out)?;
    let files = files(&out)?;
    let names: Vec<String> = files.keys().map(|name| name.display().to_string()).filter(|name| !name.starts_with("masks")).collect();
    assert_eq!(names, ["grid.png", "metrics.jsonl", "report.html", "summary.json"]);
    assert_eq!(files.len(), 4 + 22);
    let mask = image::open(out.join("masks/picture 5.png"))?;
    assert_eq!((mask.width(), mask.height(), mask.color()), (128, 96, image::ColorType::L8));
    let summary: serde_json::Value = serde_json::from_slice(&files[Path::new("summary.json")])?;
    assert_eq!(summary["metrics"]["masks.iou"], 0.61);
    assert_eq!(summary["skipped"][0]["of"], "photos/broken.jpg");
    let report = String::from_utf8_lossy(&files[Path::new("report.html")]);
    assert!(!report.contains("http"), "the report needs no network");
    assert!(report.contains("let a = 1 &lt; 2") && report.contains("not measured: no labels"));
    assert_eq!(files[Path::new("metrics.jsonl")].iter().filter(|byte| **byte == b'\n').count(), 22 + 31);
    Ok(())
}

#[test]
fn data_that_is_only_evaluated_gets_lines_without_masks() -> Test {
    let home = tempfile::tempdir()?;
    let mut recorder = ready(home.path(), about(32))?;
    recorder.found(&found(0))?;
    recorder.found(&Found { pass: 1, mask: Vec::new(), stem: "other".into(), ..found(0) })?;
    drop(recorder);
    let mut recorder = ready(home.path(), about(32))?;
    assert_eq!(recorder.done().iter().map(|one| (one.pass, one.index)).collect::<Vec<_>>(), [(0, 0), (1, 0)]);
    recorder.kept(0, 0)?;
    recorder.kept(1, 0)?;
    recorder.finish(&Outcome { images: 2, ..Outcome::default() })?;
    let metrics = fs::read_to_string(home.path().join(METRICS))?;
    let masks: Vec<bool> = metrics.lines().map(|line| line.contains("masks/")).collect();
    assert_eq!(masks, [true, false]);
    assert!(matches!(Recorder::open(home.path(), about(32), false)?, Opened::Complete(_)));
    Ok(())
}

#[test]
fn equal_stems_get_numbers() -> Test {
    let home = tempfile::tempdir()?;
    let mut recorder = ready(home.path(), about(32))?;
    recorder.found(&Found { stem: "a".into(), ..found(0) })?;
    recorder.found(&Found { stem: "A".into(), ..found(1) })?;
    recorder.found(&Found { stem: "deep/a".into(), ..found(2) })?;
    let names: Vec<_> = fs::read_dir(home.path().join(MASKS))?.map(|entry| entry.map(|e| e.file_name())).collect::<Result<_, _>>()?;
    let names: BTreeSet<_> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["A-2.png", "a.png", "deep-a.png"].map(String::from).into());
    Ok(())
}

#[test]
fn a_stopped_run_that_continues_equals_a_straight_one() -> Test {
    let home = tempfile::tempdir()?;
    let (plain, halted) = (home.path().join("plain"), home.path().join("halted"));
    straight(&plain)?;
    let mut recorder = ready(&halted, about(32))?;
    (0..18).try_for_each(|index| recorder.found(&found(index)))?;
    recorder.finish(&outcome(true))?;
    assert!(halted.join(REPORT).is_file() && halted.join(UNFINISHED).is_dir());
    fs::write(halted.join("masks/picture 4.png"), "damaged")?;
    let mut recorder = ready(&halted, about(32))?;
    let done = recorder.done();
    assert_eq!(done.iter().map(|one| one.index).collect::<Vec<_>>(), (0..18).filter(|index| *index != 4).collect::<Vec<_>>());
    let bits = |curves: &[(String, Vec<f32>)]| curves[0].1.iter().map(|point| point.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&done[7].curves), bits(&found(8).curves));
    for index in 0..22 {
        if done.iter().any(|one| one.index == index) { recorder.kept(0, index)? } else { recorder.found(&found(index))? }
    }
    recorder.finish(&outcome(false))?;
    assert_eq!(files(&plain)?.keys().collect::<Vec<_>>(), files(&halted)?.keys().collect::<Vec<_>>());
    assert!(files(&plain)? == files(&halted)?, "some file differs in its bytes");
    Ok(())
}

#[test]
fn a_complete_run_is_not_done_again_unless_it_is_damaged() -> Test {
    let home = tempfile::tempdir()?;
    straight(home.path())?;
    let Opened::Complete(summary) = Recorder::open(home.path(), about(32), false)? else { return Err("done again".into()) };
    assert_eq!(Table::of(&summary.measured()), Table::of(&outcome(false).measured));
    fs::remove_file(home.path().join("masks/picture 3.png"))?;
    assert!(ready(home.path(), about(32))?.done().is_empty());
    Ok(())
}

#[test]
fn another_run_or_foreign_files_are_refused_and_overwrite_spares_them() -> Test {
    let home = tempfile::tempdir()?;
    straight(home.path())?;
    let refused = Recorder::open(home.path(), about(64), false).map(|_| ());
    assert!(matches!(&refused, Err(RunError::Usage(why)) if why.contains("size is 32 there and 64 here")), "{refused:?}");
    fs::write(home.path().join("thesis.tex"), "mine")?;
    assert!(matches!(Recorder::open(home.path(), about(64), true)?, Opened::Ready(_)));
    assert_eq!(fs::read_to_string(home.path().join("thesis.tex"))?, "mine");
    assert!(!home.path().join(SUMMARY).exists());
    let other = tempfile::tempdir()?;
    fs::write(other.path().join("thesis.tex"), "mine")?;
    let refused = Recorder::open(other.path(), about(64), false).map(|_| ());
    assert!(matches!(&refused, Err(RunError::Usage(why)) if why.contains("thesis.tex")), "{refused:?}");
    Ok(())
}

#[test]
fn a_run_that_found_nothing_leaves_nothing() -> Test {
    let home = tempfile::tempdir()?;
    let out = home.path().join("deep/run");
    ready(&out, about(32))?.abandon()?;
    assert!(!out.exists());
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_made_is_an_environment_error() -> Test {
    let home = tempfile::tempdir()?;
    fs::write(home.path().join("file"), "")?;
    let refused = Recorder::open(&home.path().join("file/run"), about(32), false).map(|_| ());
    assert!(matches!(&refused, Err(RunError::Environment(why)) if why.contains("file/run") && why.contains("--out")), "{refused:?}");
    Ok(())
}

/// `/dev/full` takes no byte: what was written before stays, nothing half-written gets a final name.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_names_the_file_and_leaves_no_half() -> Test {
    let home = tempfile::tempdir()?;
    let mut recorder = ready(home.path(), about(32))?;
    recorder.found(&found(0))?;
    std::os::unix::fs::symlink("/dev/full", home.path().join("masks/.picture 1.png.part"))?;
    let failed = recorder.found(&found(1));
    assert!(
        matches!(&failed, Err(RunError::Environment(why)) if why.contains("picture 1.png") && why.contains("free some space")),
        "{failed:?}"
    );
    assert!(!home.path().join("masks/picture 1.png").exists());
    recorder.abandon()?;
    assert_eq!(ready(home.path(), about(32))?.done().len(), 1);
    Ok(())
}
