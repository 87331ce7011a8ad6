//! Folders as users have them: pictures of every kind, and files that only look like pictures.

use std::path::Path;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use segc_lang::source::{SourceId, Span};
use segc_lang::spec::{Data, Filter, Part, Pictures, Step};
use tempfile::TempDir;

use super::{DataSet, Frame, open};

fn data(photos: &Path, labels: Option<&Path>, steps: Vec<Step>, side: usize) -> Data {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let source = Pictures::Folder { photos: text(photos), labels: labels.map(text), split: None };
    Data { name: "images".into(), source, steps, size: (side, side), span: Span { source: SourceId(0), start: 0, end: 0 } }
}

fn square(side: usize) -> Vec<Step> {
    vec![Step::ShorterSide { side, by: Filter::Nearest }, Step::CenterCrop { side }]
}

fn set(photos: &Path, labels: Option<&Path>, side: usize) -> Box<dyn DataSet> {
    open(&data(photos, labels, square(side), side), 0).unwrap()
}

fn refused(photos: &Path, labels: Option<&Path>) -> String {
    let error = open(&data(photos, labels, square(4), 4), 0).err().unwrap();
    assert!(matches!(error, crate::outcome::RunError::Data(_)));
    error.to_string()
}

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, 128]))
}

fn jpeg(image: &RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// The skipped files and the errors of all samples, as `name: why`.
fn complaints(set: &dyn DataSet) -> Vec<String> {
    let errors = (0..set.len(Part::Whole)).filter_map(|i| set.sample(Part::Whole, i).err());
    let all = set.skipped().iter().cloned().chain(errors);
    let mut lines: Vec<String> = all.map(|s| format!("{}: {}", s.file.file_name().unwrap().to_string_lossy(), s.why)).collect();
    lines.sort();
    lines
}

fn says(lines: &[String], file: &str, words: &str) {
    assert!(lines.iter().any(|line| line.starts_with(&format!("{file}: ")) && line.contains(words)), "{file}: {words} not in {lines:#?}");
}

#[test]
fn every_common_format_is_read() {
    let folder = TempDir::new().unwrap();
    let photo = gradient(6, 6);
    for ending in ["png", "jpg", "bmp", "gif", "tiff", "webp", "ppm", "tga", "qoi"] {
        photo.save(folder.path().join(format!("{ending}.{ending}"))).unwrap();
    }
    let set = set(folder.path(), None, 6);
    assert_eq!((set.len(Part::Test), set.has_labels(), complaints(&*set)), (9, false, vec![]));
    for index in 0..9 {
        let sample = set.sample(Part::Whole, index).unwrap();
        let off = |channel: usize, (x, y, p): (u32, u32, &Rgb<u8>)| {
            (sample.image()[channel * 36 + (y * 6 + x) as usize] - f32::from(p[channel]) / 255.0).abs()
        };
        let worst = photo.enumerate_pixels().flat_map(|pixel| [0, 1, 2].map(|c| off(c, pixel))).fold(0.0, f32::max);
        let lossy = ["jpg", "gif"].contains(&sample.stem.as_str());
        assert!(worst <= if lossy { 0.25 } else { 1e-6 }, "{} {worst}", sample.stem);
    }
}

#[test]
fn files_that_only_look_like_pictures_are_named() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = jpeg(&gradient(64, 64));
    std::fs::write(at("good.jpg"), &whole).unwrap();
    std::fs::write(at("cut.jpg"), &whole[..whole.len() - 100]).unwrap();
    std::fs::write(at("head.jpg"), &whole[..20]).unwrap();
    std::fs::write(at("empty.png"), "").unwrap();
    std::fs::write(at("text.png"), "This is a text, not a picture, whatever its name says.").unwrap();
    std::fs::write(at("phone.heic"), "x").unwrap();
    std::fs::create_dir(at("folder.png")).unwrap();
    std::fs::write(at("README.md"), "about").unwrap();
    std::fs::write(at(".DS_Store"), "x").unwrap();
    RgbImage::from_pixel(1, 1, Rgb([255, 0, 0])).save(at("one.png")).unwrap();
    gradient(2, 2).save(at("good.png")).unwrap();
    let mut png = std::io::Cursor::new(Vec::new());
    gradient(64, 64).write_to(&mut png, ImageFormat::Png).unwrap();
    std::fs::write(at("half.png"), &png.get_ref()[..png.get_ref().len() / 2]).unwrap();
    let set = set(folder.path(), None, 4);
    let lines = complaints(&*set);
    says(&lines, "cut.jpg", "its end is missing");
    says(&lines, "head.jpg", "cannot be decoded");
    says(&lines, "empty.png", "0 bytes");
    says(&lines, "text.png", "content is text");
    says(&lines, "phone.heic", "convert it to PNG or JPEG");
    says(&lines, "folder.png", "not a file");
    says(&lines, "good.png", "same stem as `good.jpg`");
    says(&lines, "half.png", "cannot be decoded");
    assert_eq!(lines.len(), 8, "{lines:#?}");
    let one = (0..set.len(Part::Whole)).filter_map(|i| set.sample(Part::Whole, i).ok()).find(|sample| sample.stem == "one").unwrap();
    assert!(one.image().iter().zip([1.0; 16].iter().chain(&[0.0; 32])).all(|(a, b)| a == b));
    assert_eq!(one.frame, Frame { photo: (1, 1), window: (0.0, 0.0, 1.0, 1.0) });
}

#[test]
fn headers_that_promise_too_much_are_refused_at_once() {
    let folder = TempDir::new().unwrap();
    gradient(4, 4).save(folder.path().join("good.png")).unwrap();
    let mut bytes = jpeg(&gradient(8, 8));
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x4E, 0x20, 0x4E, 0x20]);
    std::fs::write(folder.path().join("huge.jpg"), bytes).unwrap();
    let mut bytes = std::io::Cursor::new(Vec::new());
    gradient(8, 8).write_to(&mut bytes, ImageFormat::Bmp).unwrap();
    let mut bytes = bytes.into_inner();
    bytes[18..22].copy_from_slice(&20_000u32.to_le_bytes());
    bytes[22..26].copy_from_slice(&20_000u32.to_le_bytes());
    std::fs::write(folder.path().join("huge.bmp"), bytes).unwrap();
    let mut bytes = std::io::Cursor::new(Vec::new());
    gradient(8, 8).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let mut bytes = bytes.into_inner();
    bytes[16..20].copy_from_slice(&20_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&20_000u32.to_be_bytes());
    let check = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&check.to_be_bytes());
    std::fs::write(folder.path().join("huge.png"), bytes).unwrap();
    let set = set(folder.path(), None, 4);
    for name in ["huge.jpg", "huge.bmp", "huge.png"] {
        says(&complaints(&*set), name, "20000 x 20000 pixels");
    }
    assert_eq!(set.len(Part::Whole), 1);
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0xEDB8_8320 * (crc & 1))))
}

#[test]
fn depth_grey_and_transparency_look_as_in_a_viewer() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    image::ImageBuffer::<Luma<u16>, _>::from_pixel(2, 2, Luma([16_384u16])).save(at("a_grey16.png")).unwrap();
    image::ImageBuffer::<image::LumaA<u8>, _>::from_pixel(2, 2, image::LumaA([0u8, 51])).save(at("b_clear.png")).unwrap();
    image::ImageBuffer::<Rgb<u16>, _>::from_pixel(2, 2, Rgb([1u16, 2, 65_535])).save(at("c_rgb16.tiff")).unwrap();
    let set = set(folder.path(), None, 2);
    let first = |index: usize| {
        let sample = set.sample(Part::Whole, index).unwrap();
        let image = sample.image();
        [image[0], image[4], image[8]]
    };
    assert_eq!(first(0), [16_384.0 / 65_535.0; 3]);
    assert_eq!(first(1), [204.0 / 255.0; 3]);
    assert_eq!(first(2), [1.0 / 65_535.0, 2.0 / 65_535.0, 1.0]);
    assert_eq!(set.photo(Part::Whole, 1).unwrap().get_pixel(0, 0), &Rgb([204; 3]));
}

/// The JPEG with an EXIF segment that says how to turn it.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn exif_rotation_is_applied_to_photo_and_frame() {
    let folder = TempDir::new().unwrap();
    let masks = TempDir::new().unwrap();
    // Left half dark, right half bright; a quarter turn clockwise makes the top dark.
    let photo = RgbImage::from_fn(32, 16, |x, _| Rgb([if x < 16 { 0 } else { 255 }; 3]));
    for orientation in 1..=8u8 {
        std::fs::write(folder.path().join(format!("{orientation}.jpg")), turned(&jpeg(&photo), orientation)).unwrap();
        let (width, height) = if orientation >= 5 { (16, 32) } else { (32, 16) };
        GrayImage::from_pixel(width, height, Luma([255])).save(masks.path().join(format!("{orientation}.png"))).unwrap();
    }
    let steps = vec![Step::Resize { side: 2, by: Filter::Nearest }];
    let set = open(&data(folder.path(), Some(masks.path()), steps, 2), 0).unwrap();
    assert_eq!(complaints(&*set), Vec::<String>::new());
    let bright: Vec<Vec<bool>> =
        (0..8).map(|i| set.sample(Part::Whole, i).unwrap().image()[..4].iter().map(|v| *v > 0.5).collect()).collect();
    let (right, left, bottom, top) =
        ([false, true, false, true], [true, false, true, false], [false, false, true, true], [true, true, false, false]);
    assert_eq!(bright, [right, left, left, right, bottom, bottom, top, top]);
    assert_eq!(set.sample(Part::Whole, 5).unwrap().frame.photo, (16, 32));
    assert_eq!(set.photo(Part::Whole, 5).unwrap().dimensions(), (16, 32));
}

#[test]
fn masks_belong_to_photographs_by_stem() {
    let (folder, masks) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mask = |name: &str, image: DynamicImage| image.save(masks.path().join(name)).unwrap();
    for stem in ["a", "b", "c", "d", "e", "f"] {
        gradient(8, 6).save(folder.path().join(format!("{stem}.png"))).unwrap();
    }
    let half = |white: u8| GrayImage::from_fn(8, 6, |x, _| Luma([if x < 4 { 0 } else { white }]));
    mask("a.bmp", half(255).into());
    mask("b.png", DynamicImage::ImageLuma16(image::ImageBuffer::from_fn(8, 6, |x, _| Luma([if x < 4 { 32_767u16 } else { 32_768 }]))));
    mask("c.png", GrayImage::new(6, 8).into());
    mask("d.png", half(1).into());
    mask("f.png", GrayImage::new(8, 6).into());
    mask("g.png", half(255).into());
    let set = set(folder.path(), Some(masks.path()), 6);
    let lines = complaints(&*set);
    says(&lines, "c.png", "6 x 8 pixels, its photograph `c.png` 8 x 6, perhaps because");
    says(&lines, "d.png", "the brightest is 1 of 255");
    says(&lines, "e.png", "no mask named `e`");
    says(&lines, "g.png", "no photograph named `g`");
    assert_eq!((lines.len(), set.has_labels(), set.len(Part::Whole)), (4, true, 4));
    for index in 0..2 {
        let sample = set.sample(Part::Whole, index).unwrap();
        assert_eq!(sample.label().unwrap(), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0].repeat(6), "{index}");
    }
    assert_eq!(set.sample(Part::Whole, 3).unwrap().label().unwrap(), [0.0; 36]);
}

#[test]
fn folders_without_pictures_say_what_is_there() {
    let root = TempDir::new().unwrap();
    let at = |name: &str| root.path().join(name);
    for name in ["empty", "notes", "broken", "photos", "masks"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    std::fs::write(at("notes/a.txt"), "x").unwrap();
    std::fs::create_dir(at("notes/train")).unwrap();
    std::fs::write(at("broken/a.png"), "x").unwrap();
    gradient(4, 4).save(at("photos/one.png")).unwrap();
    gradient(4, 4).save(at("masks/two.png")).unwrap();
    assert!(refused(&at("empty"), None).contains("it is empty"));
    let notes = refused(&at("notes"), None);
    assert!(notes.contains("only `a.txt`, `train` (2 in all; folders inside are not searched)"), "{notes}");
    let broken = refused(&at("broken"), None);
    assert!(broken.contains("none of the 1 pictures") && broken.contains("a.png: its content is text"), "{broken}");
    let missing = refused(&at("photo"), None);
    assert!(missing.contains("no folder") && missing.contains("`broken`, `empty`, `masks`, .."), "{missing}");
    assert!(refused(&at("photos/one.png"), None).contains("is a file"));
    assert!(refused(&at("photos"), Some(&at("nowhere"))).contains("`labels`"));
    let unlike = refused(&at("photos"), Some(&at("masks")));
    assert!(unlike.contains("photographs are `one`; masks are `two`"), "{unlike}");
}

#[test]
fn what_the_pipeline_cannot_cut_is_named() {
    let folder = TempDir::new().unwrap();
    gradient(8, 4).save(folder.path().join("wide.png")).unwrap();
    let set = open(&data(folder.path(), None, vec![Step::ShorterSide { side: 4, by: Filter::Bilinear }], 4), 0).unwrap();
    says(&complaints(&*set), "wide.png", "8 x 4 pixels of it, not 4 x 4");
    let set = open(&data(folder.path(), None, vec![Step::CenterCrop { side: 6 }], 6), 0).unwrap();
    says(&complaints(&*set), "wide.png", "too few");
    assert!(set.sample(Part::Whole, 1).unwrap_err().why.contains("no photograph 1"));
}

#[test]
fn samples_do_not_depend_on_threads() {
    let folder = TempDir::new().unwrap();
    (0..6).for_each(|i| gradient(20 + i, 31).save(folder.path().join(format!("{i}.png"))).unwrap());
    let steps =
        vec![Step::ShorterSide { side: 8, by: Filter::Bicubic }, Step::CenterCrop { side: 8 }, Step::Range { low: -1.0, high: 1.0 }];
    let set = open(&data(folder.path(), None, steps, 8), 0).unwrap();
    let all = || (0..6).map(|i| set.sample(Part::Whole, i).unwrap().fields).collect::<Vec<_>>();
    let here = all();
    let there = std::thread::scope(|scope| [scope.spawn(all), scope.spawn(all)].map(|thread| thread.join().unwrap()));
    assert_eq!(there, [here.clone(), here]);
}

#[test]
fn damaged_bytes_never_bring_a_decoder_down() {
    let folder = TempDir::new().unwrap();
    let photo = gradient(24, 17);
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff, ImageFormat::WebP, ImageFormat::Pnm]
    {
        let mut bytes = std::io::Cursor::new(Vec::new());
        photo.write_to(&mut bytes, format).unwrap();
        for sample in 0..40 {
            let draw = crate::rng::Stream::new(0, "test.damage", crate::rng::Place { sample, ..Default::default() });
            let mut damaged = bytes.get_ref().clone();
            // Headers matter most, so every second fault is among the first bytes.
            let reach = if sample % 2 == 0 { 64 } else { damaged.len() as u64 };
            for fault in 0..1 + draw.integer(0, 4) {
                damaged[draw.integer(8 + fault, reach) as usize] = draw.integer(16 + fault, 256) as u8;
            }
            let file = folder.path().join("damaged.png");
            std::fs::write(&file, damaged).unwrap();
            if let Ok(set) = open(&data(folder.path(), None, square(8), 8), 0) {
                assert!(set.sample(Part::Whole, 0).map_or_else(|skipped| !skipped.why.is_empty(), |sample| sample.image().len() == 192));
            }
        }
    }
}
