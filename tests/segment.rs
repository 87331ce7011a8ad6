//! `segc segment`: the masks of a run's own photographs are those of the run; photographs of all kinds; what it refuses.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use support::{Said, files, segc};

mod support;

/// A generator, a critic and a net in three phases; here it sees photographs whole.
const TINY: &str = include_str!("run/tiny.seg");

fn home() -> tempfile::TempDir {
    let home = support::home();
    let source = "pictures(scenes: easy) |> resize(side + 2) |> random_crop(side)";
    assert!(TINY.contains(source));
    let photos = "param photos: folder = none\nparam labels: folder = none\n";
    let tiny =
        TINY.replace(source, "pictures(photos, labels: labels) |> resize(side)").replace("data images", &format!("{photos}data images"));
    fs::write(home.path().join("tiny.seg"), tiny).unwrap();
    home
}

/// A bright square on a dark gradient.
fn photograph(number: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let inside = (width / 5 + number % 3..width * 4 / 5).contains(&x) && (height / 4..height * 3 / 4).contains(&y);
        if inside { Rgb([230, 200 - (number % 200) as u8, 40]) } else { Rgb([20 + (x % 200) as u8, 30 + (y % 200) as u8, 60]) }
    })
}

/// A folder with square photographs.
fn photographs(folder: &Path, count: u32, side: u32) {
    fs::create_dir_all(folder).unwrap();
    for number in 0..count {
        photograph(number, side, side).save(folder.join(format!("{number:03}.png"))).unwrap();
    }
}

fn segment(home: &Path, words: &[&str]) -> Said {
    segc(home, &[&["segment"], words].concat())
}

/// A run of `tiny.seg` in `model` on photographs of its own size.
fn trained(home: &Path, more: &[&str]) {
    photographs(&home.join("photos"), 12, 8);
    segc(home, &[&["run", "tiny.seg", "--set", "photos=photos", "--out", "model", "--checkpoint-every", "4", "--quiet"], more].concat())
        .succeeds();
}

/// A run of `good.seg`, which has no models, in `model`.
fn solved(home: &Path, more: &[&str]) {
    photographs(&home.join("photos"), 3, 16);
    let words = ["run", "good.seg", "--set", "photos=photos", "--set", "size=16", "--out", "model", "--quiet"];
    segc(home, &[&words[..], more].concat()).succeeds();
}

/// What `segment` wrote of one kind, and what the run wrote, by stem.
fn masks(home: &Path, out: &str) -> [BTreeMap<String, Vec<u8>>; 2] {
    let all = |folder: PathBuf, ending: &str| {
        let stem = |name: &Path| Some(name.to_str()?.strip_suffix(ending)?.to_owned());
        files(&folder).into_iter().filter_map(|(name, bytes)| Some((stem(&name)?, bytes))).collect()
    };
    [all(home.join(out), ".mask.png"), all(home.join("model/masks"), ".png")]
}

#[track_caller]
fn assert_masks_of_the_run(home: &Path, out: &str, count: usize) {
    let [own, of_run] = masks(home, out);
    assert_eq!((own.len(), of_run.len()), (count, count));
    assert!(own == of_run, "masks of {:?} differ", own.iter().filter(|(stem, mask)| of_run.get(*stem) != Some(mask)).collect::<Vec<_>>());
}

fn opened(path: PathBuf) -> DynamicImage {
    image::open(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

#[test]
fn trained_models_find_the_masks_of_the_run_on_any_threads() {
    let home = home();
    trained(home.path(), &[]);
    // What the run was made of is not needed any more.
    fs::remove_file(home.path().join("tiny.seg")).unwrap();
    for threads in ["1", "2"] {
        let said = segment(home.path(), &["model", "photos", "--out", threads, "--threads", threads]);
        said.succeeds();
        assert!(said.out.contains("12 photographs segmented") && !said.err.contains("note"), "{}{}", said.out, said.err);
        assert_masks_of_the_run(home.path(), threads, 12);
    }
    support::assert_same(&home.path().join("1"), &home.path().join("2"));
    let different: std::collections::BTreeSet<_> = masks(home.path(), "1")[0].values().cloned().collect();
    assert!(different.len() > 1, "all masks are the same");
    segment(home.path(), &["model", "photos", "--out", "before", "--checkpoint", "24"]).succeeds();
    assert_ne!(masks(home.path(), "before")[0], masks(home.path(), "1")[0]);
}

#[test]
fn a_spec_without_models_is_solved_for_each_photograph() {
    let home = home();
    solved(home.path(), &["--set", "rounds=24 * 1/3"]);
    segment(home.path(), &["model", "photos", "--quiet"]).succeeds();
    assert_masks_of_the_run(home.path(), "segmented", 3);
    // A run of a version that did not note how params were written.
    let path = home.path().join("model/run.json");
    let mut run: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(run["sets"]["rounds"], "24 * 1/3");
    run.as_object_mut().unwrap().remove("sets");
    fs::write(&path, run.to_string()).unwrap();
    segment(home.path(), &["model", "photos", "--out", "again"]).succeeds();
    assert_masks_of_the_run(home.path(), "again", 3);
}

/// The JPEG with an EXIF segment that says how to turn it.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn photographs_of_all_kinds_get_pictures_of_their_own_size() {
    let home = home();
    solved(home.path(), &[]);
    let mixed = home.path().join("mixed");
    fs::create_dir(&mixed).unwrap();
    let mut jpeg = Cursor::new(Vec::new());
    photograph(0, 40, 24).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    fs::write(mixed.join("turned.jpg"), turned(&jpeg.into_inner(), 6)).unwrap();
    photograph(1, 1, 1).save(mixed.join("dot.png")).unwrap();
    photograph(1, 900, 3).save(mixed.join("wide.png")).unwrap();
    photograph(1, 61, 47).save(mixed.join("plain.png")).unwrap();
    GrayImage::from_fn(30, 20, |x, _| Luma([8 * x as u8])).save(mixed.join("grey.png")).unwrap();
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_fn(20, 30, |x, y| Rgb([2000 * x as u16, 1000 * y as u16, 9]));
    DynamicImage::from(deep).save(mixed.join("deep.png")).unwrap();
    RgbaImage::from_fn(25, 25, |x, y| Rgba([10 * x as u8, 10 * y as u8, 90, if x < 12 { 0 } else { 255 }]))
        .save(mixed.join("clear.png"))
        .unwrap();
    segment(home.path(), &["model", "mixed"]).succeeds();
    let sizes =
        [("turned", 24, 40), ("dot", 1, 1), ("wide", 900, 3), ("plain", 61, 47), ("grey", 30, 20), ("deep", 20, 30), ("clear", 25, 25)];
    assert_eq!(files(&home.path().join("segmented")).len(), 3 * sizes.len());
    for (stem, width, height) in sizes {
        let picture = |kind: &str| opened(home.path().join(format!("segmented/{stem}.{kind}.png")));
        let (mask, cutout, overlay) = (picture("mask"), picture("cutout"), picture("overlay"));
        assert!(matches!(
            (&mask, &cutout, &overlay),
            (DynamicImage::ImageLuma8(_), DynamicImage::ImageRgba8(_), DynamicImage::ImageRgb8(_))
        ));
        for one in [&mask, &cutout, &overlay] {
            assert_eq!((one.width(), one.height()), (width, height), "{stem}");
        }
        let alpha: Vec<u8> = cutout.to_rgba8().pixels().map(|pixel| pixel[3]).collect();
        assert_eq!(alpha, mask.to_luma8().into_raw(), "{stem}");
    }
    let cutout = opened(home.path().join("segmented/plain.cutout.png")).to_rgb8();
    assert_eq!(cutout, photograph(1, 61, 47));
}

#[test]
fn the_object_is_found_where_it_lies_in_a_wide_photograph() {
    let home = home();
    solved(home.path(), &[]);
    photograph(0, 200, 50).save(home.path().join("wide.png")).unwrap();
    segment(home.path(), &["model", "wide.png", "--only", "overlay,mask"]).succeeds();
    assert_eq!(files(&home.path().join("segmented")).len(), 2);
    let mask = opened(home.path().join("segmented/wide.mask.png")).to_luma8();
    let truth = |x: u32, y: u32| (40..160).contains(&x) && (12..37).contains(&y);
    let right = mask.enumerate_pixels().filter(|(x, y, value)| truth(*x, *y) == (value[0] >= 128)).count();
    assert!(right > 200 * 50 * 9 / 10, "{right} pixels are right");
    // Both halves of the object: nothing was cut off.
    assert!(mask.get_pixel(50, 25)[0] > 128 && mask.get_pixel(150, 25)[0] > 128 && mask.get_pixel(5, 25)[0] < 128);
}

#[test]
fn equal_stems_get_numbers_and_nothing_that_is_named_is_written_over() {
    let home = home();
    solved(home.path(), &[]);
    for name in ["a.png", "b/a.png", "a.bmp.png", "c/a.mask.png"] {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        photograph(7, 20, 10).save(&path).unwrap();
    }
    segment(home.path(), &["model", "a.png", "b", "./a.png", "a.bmp.png", "--only", "mask"]).succeeds();
    let names: Vec<_> = files(&home.path().join("segmented")).into_keys().map(|name| name.display().to_string()).collect();
    assert_eq!(names, ["a-2.mask.png", "a.bmp.mask.png", "a.mask.png"]);
    // The folder of the results is one of those with photographs.
    fs::copy(home.path().join("a.png"), home.path().join("c/a.png")).unwrap();
    let named = segment(home.path(), &["model", "c/a.png", "c/a.mask.png", "--out", "c", "--only", "mask"]);
    named.succeeds();
    assert_eq!(opened(home.path().join("c/a.mask.png")).to_rgb8(), photograph(7, 20, 10));
    assert!(home.path().join("c/a-2.mask.png").is_file() && home.path().join("c/a.mask.mask.png").is_file());
    let again = segment(home.path(), &["model", "c", "--out", "c", "--only", "mask"]);
    again.succeeds();
    assert!(again.err.contains("left out c/a-2.mask.png: it is a result by its name"), "{}", again.err);
    assert!(again.out.contains("1 photograph segmented"), "{}", again.out);
}

#[test]
fn files_that_cannot_be_read_are_named_and_the_others_are_done() {
    let home = home();
    solved(home.path(), &[]);
    let png = fs::read(home.path().join("photos/000.png")).unwrap();
    fs::write(home.path().join("half.png"), &png[..png.len() / 2]).unwrap();
    fs::write(home.path().join("text.png"), "no picture").unwrap();
    fs::write(home.path().join("photos/raw.heic"), "x").unwrap();
    fs::create_dir(home.path().join("empty")).unwrap();
    let words = ["half.png", "text.png", "lost.png", "empty"];
    let said = segment(home.path(), &[&["model", "photos"], &words[..]].concat());
    said.succeeds();
    for text in
        ["half.png: it is truncated", "text.png: its content is text", "lost.png: there is no such file", "empty: the folder has no"]
    {
        assert!(said.err.contains(text), "{text:?} is not said:\n{}", said.err);
    }
    assert!(
        said.err.contains("raw.heic: this format is not read") && said.out.contains("3 photographs segmented"),
        "{}{}",
        said.err,
        said.out
    );
    segment(home.path(), &[&["model", "--out", "none"], &words[..]].concat())
        .fails(3, &["no photograph could be read", "half.png", "lost.png"]);
    assert!(!home.path().join("none").exists());
    segment(home.path(), &["model"]).fails(2, &["FILES"]);
}

#[test]
fn what_is_no_run_is_refused_with_what_to_name() {
    let home = home();
    solved(home.path(), &[]);
    segment(home.path(), &["good.seg", "photos"]).fails(2, &["good.seg is not the folder of a run", "a spec is run first"]);
    segment(home.path(), &["lost", "photos"]).fails(2, &["lost is not the folder of a run", "`segc run` wrote"]);
    segment(home.path(), &[".", "photos"]).fails(2, &["It holds runs", "model"]);
    let path = home.path().join("model/run.json");
    let run = fs::read_to_string(&path).unwrap();
    fs::write(&path, run.replace("let x = images.image", "let x = images.imago")).unwrap();
    segment(home.path(), &["model", "photos"])
        .fails(2, &["good.seg:", "imago", "the text of a run that segc 0.", "segment with that version"]);
    fs::write(&path, run.replace("\"size\": 16,", "\"size\": 17,")).unwrap();
    segment(home.path(), &["model", "photos"]).fails(2, &["does not give the params that the run had: size was 17"]);
    fs::write(&path, &run[..run.len() / 2]).unwrap();
    segment(home.path(), &["model", "photos"]).fails(2, &["model/run.json cannot be read"]);
    fs::write(&path, run.replace("\"segc\": \"", "\"segc\": \"0.")).unwrap();
    let said = segment(home.path(), &["model", "photos"]);
    said.succeeds();
    assert!(said.err.contains("note: the run was made by segc 0.0."), "{}", said.err);
    segment(home.path(), &["model", "photos", "--checkpoint", "5"]).fails(2, &["there is no checkpoint to choose"]);
}

#[test]
fn checkpoints_that_cannot_be_used_are_refused_or_passed_over() {
    let home = home();
    trained(home.path(), &[]);
    let last = home.path().join("model/checkpoints/last.safetensors");
    let newest = fs::read_dir(home.path().join("model/checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let newest: Vec<u64> = newest.filter_map(|path| path.file_stem()?.to_str()?.parse().ok()).collect();
    let newest = home.path().join(format!("model/checkpoints/{}.safetensors", newest.iter().max().unwrap()));
    let good = fs::read(&last).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 4;
    // One file under two names.
    fs::write(&last, &bad).unwrap();
    let said = segment(home.path(), &["model", "photos"]);
    said.succeeds();
    assert!(
        said.err.contains("last.safetensors is damaged (its bytes are not those") && said.err.contains("safetensors is used"),
        "{}",
        said.err
    );
    assert!(said.err.contains("was not trained to its end"), "{}", said.err);
    segment(home.path(), &["model", "photos", "--checkpoint", "model/checkpoints/last.safetensors"])
        .fails(4, &["last.safetensors is damaged"]);
    segment(home.path(), &["model", "photos", "--checkpoint", "7"])
        .fails(4, &["there is no checkpoint model/checkpoints/7", "holds those after"]);
    fs::write(home.path().join("kept.safetensors"), &good).unwrap();
    segment(home.path(), &["model", "photos", "--checkpoint", "kept.safetensors", "--out", "kept"]).succeeds();
    assert_masks_of_the_run(home.path(), "kept", 12);
    let words = ["run", "tiny.seg", "--set", "photos=photos", "--seed", "1", "--stop-after", "4", "--out", "other"];
    segc(home.path(), &words).succeeds();
    let other = "other/checkpoints/last.safetensors";
    segment(home.path(), &["model", "photos", "--checkpoint", other]).fails(4, &["belongs to another run"]);
    segment(home.path(), &["other", "photos"]).fails(4, &["reads `finder.", "no phase has trained yet", "phase warm", "continues it"]);
    for path in fs::read_dir(home.path().join("model/checkpoints")).unwrap().map(|entry| entry.unwrap().path()) {
        fs::write(path, &bad).unwrap();
    }
    segment(home.path(), &["model", "photos"]).fails(4, &["last.safetensors is damaged", "no checkpoint beside it is whole"]);
    assert!(newest.is_file());
    fs::remove_dir_all(home.path().join("model/checkpoints")).unwrap();
    segment(home.path(), &["model", "photos"]).fails(4, &["holds no checkpoint", "continues it"]);
}

#[test]
fn a_phase_that_keeps_the_best_is_used_as_its_end_would_hand_it_on() {
    let home = home();
    let path = home.path().join("tiny.seg");
    let tiny = fs::read_to_string(&path).unwrap();
    // `covered` does not read the finder, so the first one that is measured stays the best.
    let (decides, keeps) = ("every 2 steps { finish when step >= 6   measure fits }", "every 2 steps { keep best by covered }");
    assert!(tiny.contains(decides));
    fs::write(&path, tiny.replace(decides, keeps)).unwrap();
    trained(home.path(), &["--stop-after", "24"]);
    let said = segment(home.path(), &["model", "photos", "--out", "halted"]);
    said.succeeds();
    assert!(
        said.err.contains("not trained to its end") && said.err.contains("its best models so far, of step 2, are used"),
        "{}",
        said.err
    );
    trained(home.path(), &[]);
    assert_masks_of_the_run(home.path(), "halted", 12);
    segment(home.path(), &["model", "photos"]).succeeds();
    assert_masks_of_the_run(home.path(), "segmented", 12);
}

#[test]
fn ground_truth_is_refused_and_means_over_the_data_are_those_of_the_run() {
    let home = home();
    photographs(&home.path().join("photos"), 4, 16);
    photographs(&home.path().join("labels"), 4, 16);
    let begin = "param photos: folder = none\nparam labels: folder = none\ndata images = pictures(photos, labels: labels) |> resize(16)\n";
    let run = |name: &str, output: &str| {
        fs::write(home.path().join(name), format!("{begin}output masks = {output} over images\n")).unwrap();
        segc(home.path(), &["run", name, "--set", "photos=photos", "--set", "labels=labels", "--out", "model", "--overwrite"]).succeeds();
    };
    run("copies.seg", "oracle(images.label)");
    segment(home.path(), &["model", "photos"]).fails(2, &["`output masks` reads `images.label`, ground truth"]);
    run("shape.seg", "oracle(average(images.label, over: images)) * mean(images.image, over: channel)");
    segment(home.path(), &["model", "photos"]).succeeds();
    assert_masks_of_the_run(home.path(), "segmented", 4);
    // Of other photographs than the run's, the mean is still the run's.
    segment(home.path(), &["model", "photos/003.png", "--out", "one"]).succeeds();
    assert_eq!(fs::read(home.path().join("one/003.mask.png")).unwrap(), fs::read(home.path().join("model/masks/003.png")).unwrap());
    fs::rename(home.path().join("labels"), home.path().join("moved")).unwrap();
    segment(home.path(), &["model", "photos", "--out", "lost"]).fails(3, &["there is no folder `labels`"]);
    assert!(!home.path().join("lost").exists());
    fs::write(home.path().join("nothing.seg"), begin.to_owned() + "eval e over images = mean(images.image)\n").unwrap();
    segc(home.path(), &["run", "nothing.seg", "--set", "photos=photos", "--out", "none"]).succeeds();
    segment(home.path(), &["none", "photos"]).fails(2, &["has no `output`"]);
}

/// A model from a file that no phase trains: no checkpoint holds it.
const FROZEN: &str = include_str!("weights/small.seg");

#[test]
fn files_of_weights_must_be_those_of_the_run() {
    let home = tempfile::tempdir().unwrap();
    photographs(&home.path().join("photos"), 2, 16);
    let sample = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime/tests/weights").join(name);
    let file = home.path().join("small.pth");
    fs::copy(sample("small.pth"), &file).unwrap();
    let output = "data images = pictures() |> resize(16)\nlet answer = S(images.image)[feature: 0] * mean(images.image, over: channel)\n";
    fs::write(home.path().join("small.seg"), format!("{FROZEN}\n{output}output masks = sigmoid(9 * answer) over images\n")).unwrap();
    segc(home.path(), &["run", "small.seg", "--out", "model", "--set", "file_of=small.pth", "--quiet"]).succeeds();
    segment(home.path(), &["model", "photos"]).succeeds();
    let before = files(&home.path().join("segmented"));
    assert_eq!(before.len(), 6);
    fs::copy(sample("small_legacy.pth"), &file).unwrap();
    segment(home.path(), &["model", "photos"]).fails(3, &["small.pth is not the file of weights that the run began with", "SHA-256"]);
    fs::remove_file(&file).unwrap();
    segment(home.path(), &["model", "photos"]).fails(3, &["small.pth", "does not exist"]);
    assert!(before == files(&home.path().join("segmented")));
}

#[test]
fn a_place_that_cannot_be_written_is_an_environment_error() {
    let home = home();
    solved(home.path(), &[]);
    segment(home.path(), &["model", "photos", "--out", "good.seg/out"]).fails(6, &["good.seg/out", "--out"]);
    segment(home.path(), &["model", "photos", "--out", "good.seg"]).fails(6, &["good.seg"]);
}

/// `/dev/full` takes no byte, like a disk without space.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_half() {
    let home = home();
    solved(home.path(), &[]);
    let out = home.path().join("segmented");
    fs::create_dir(&out).unwrap();
    std::os::unix::fs::symlink("/dev/full", out.join(".001.cutout.png.part")).unwrap();
    segment(home.path(), &["model", "photos"]).fails(6, &["001.cutout.png", "free some space"]);
    assert!(out.join("000.overlay.png").is_file() && out.join("001.mask.png").is_file());
    assert_eq!(files(&out).len(), 4);
    segment(home.path(), &["model", "photos"]).succeeds();
    assert_eq!(files(&out).len(), 9);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_after_the_photographs_at_hand() {
    let home = home();
    solved(home.path(), &[]);
    photographs(&home.path().join("many"), 3000, 40);
    let mut command = Command::new(env!("CARGO_BIN_EXE_segc"));
    let words = ["segment", "model", "many", "--threads", "1"];
    let child = command.args(words).current_dir(home.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !home.path().join("segmented/000.mask.png").is_file() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no mask was written in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    Said::of(child.wait_with_output().unwrap()).fails(75, &["stopped by a signal", "begins anew"]);
    let written = files(&home.path().join("segmented"));
    assert!((1..9000).contains(&written.len()) && written.len().is_multiple_of(3), "{}", written.len());
    assert!(!written.keys().any(|name| name.to_string_lossy().ends_with(".part")));
}
