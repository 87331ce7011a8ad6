//! Picture files: what they are, how large, and their pixels as a viewer would show them.
//!
//! The content decides the format, the name only whether a file is taken for a picture. EXIF rotation is applied. Of animations
//! the first frame counts. Photographs with transparency are laid on white, as viewers do, masks on black. Grey, palette and 1-bit
//! pictures become RGB; 16-bit and float pictures keep their depth (float values are cut to 0..1).
//!
//! Files up to [`LONGEST_SIDE`] pixels a side and [`LARGEST_BYTES`] decoded are read, so that a header that promises more than
//! the memory holds is refused before anything is allocated.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Luma, Primitive, Rgb, Rgba};

use super::pipeline::LONGEST_SIDE;

/// Most bytes that a decoded picture may take.
pub const LARGEST_BYTES: u64 = 512 << 20;
/// The formats that are read, for messages.
pub const FORMATS: &str = "PNG, JPEG, BMP, GIF, TIFF, WebP, PNM, TGA and QOI";

const READ: [&str; 18] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "bmp", "dib", "gif", "tif", "tiff", "webp", "pnm", "pbm", "pgm", "ppm", "pam", "tga", "qoi"];
const FOREIGN: [&str; 22] = [
    "heic", "heif", "avif", "jxl", "jp2", "j2k", "psd", "svg", "exr", "hdr", "ico", "dds", "xcf", "eps", "raw", "dng", "cr2", "cr3", "nef",
    "arw", "orf", "rw2",
];
/// Of a JPEG so much is read to learn its size; metadata before it is rarely longer.
const JPEG_HEAD: u64 = 256 << 10;

/// What a file's name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A picture in a format that is read.
    Picture,
    /// A picture in another format.
    Foreign,
    /// Something else.
    Other,
}

/// What a file's name promises; hidden files promise nothing.
pub fn promise(path: &Path) -> Promise {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    match ending.as_str() {
        _ if hidden => Promise::Other,
        ending if READ.contains(&ending) => Promise::Picture,
        ending if FOREIGN.contains(&ending) => Promise::Foreign,
        _ => Promise::Other,
    }
}

/// Why a picture in another format is left out.
pub fn foreign() -> String {
    format!("this format is not read; convert it to PNG or JPEG (read are {FORMATS})")
}

/// Width and height of a picture after EXIF rotation, from its header alone. The error says in words what is wrong.
pub fn dimensions(path: &Path) -> Result<(u32, u32), String> {
    let (mut file, format) = open(path)?;
    if format == ImageFormat::Jpeg {
        let mut head = Vec::new();
        file.by_ref().take(JPEG_HEAD).read_to_end(&mut head).map_err(unreadable)?;
        if let Ok(size) = header(Cursor::new(head), format) {
            return size;
        }
        file.rewind().map_err(unreadable)?;
    }
    header(BufReader::new(file), format).map_err(|error| broken(&error))?
}

/// The pixels of a photograph: RGB of 8 or 16 bits or f32. The error says in words what is wrong.
pub fn photo(path: &Path) -> Result<DynamicImage, String> {
    pixels(path).map(|image| opaque(image, 1.0))
}

/// The pixels of a mask: 255 where its grey is above one half of the largest value of its format, else 0. The error says in words
/// what is wrong.
pub fn mask(path: &Path) -> Result<GrayImage, String> {
    let grey = opaque(pixels(path)?, 0.0).to_luma32f();
    let brightest = grey.iter().copied().fold(0.0, f32::max);
    if brightest > 0.0 && brightest <= 0.5 {
        let of_255 = brightest * 255.0;
        return Err(format!(
            "no pixel of this mask is brighter than one half (the brightest is {of_255:.0} of 255), so it marks nothing; \
             if its values are numbers of classes, write the object as 255 and the rest as 0"
        ));
    }
    Ok(GrayImage::from_fn(grey.width(), grey.height(), |x, y| Luma([if grey.get_pixel(x, y)[0] > 0.5 { 255 } else { 0 }])))
}

fn open(path: &Path) -> Result<(File, ImageFormat), String> {
    let facts = std::fs::metadata(path).map_err(unreadable)?;
    if !facts.is_file() {
        return Err("it is not a file, though named like a picture; rename or remove it".into());
    }
    if facts.len() == 0 {
        return Err("the file is empty (0 bytes); copy it again or remove it".into());
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let mut head = Vec::new();
    file.by_ref().take(64).read_to_end(&mut head).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let named = || ImageFormat::from_path(path).ok().filter(|format| *format == ImageFormat::Tga);
    let known = image::guess_format(&head).ok().or_else(named).filter(ImageFormat::reading_enabled);
    known.map(|format| (file, format)).ok_or_else(|| {
        let what = if head.is_ascii() { "text" } else { "something else" };
        format!("its content is {what}, not a picture in a format that is read ({FORMATS}); convert or remove it")
    })
}

/// The outer error is the decoder's, the inner one ours about the size.
fn header(reader: impl BufRead + Seek, format: ImageFormat) -> image::ImageResult<Result<(u32, u32), String>> {
    let mut reader = ImageReader::with_format(reader, format);
    reader.no_limits();
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    let turned = decoder.orientation().map(swaps_sides).unwrap_or(false);
    Ok(checked(&decoder).map(|()| if turned { (height, width) } else { (width, height) }))
}

fn pixels(path: &Path) -> Result<DynamicImage, String> {
    let (mut file, format) = open(path)?;
    if format != ImageFormat::Jpeg {
        return decoded(BufReader::new(file), format);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if !ends(&bytes) {
        return Err("this JPEG is truncated: its end is missing; copy it again or remove it".into());
    }
    decoded(Cursor::new(bytes), format)
}

fn decoded(reader: impl BufRead + Seek, format: ImageFormat) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::with_format(reader, format);
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(|error| broken(&error))?;
    checked(&decoder)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(2 * LARGEST_BYTES);
    decoder.set_limits(limits).map_err(|error| broken(&error))?;
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| broken(&error))?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn checked(decoder: &impl ImageDecoder) -> Result<(), String> {
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(format!("it has {width} x {height} pixels, that is none"));
    }
    if width.max(height) as usize > LONGEST_SIDE || decoder.total_bytes() > LARGEST_BYTES {
        let most = LARGEST_BYTES >> 20;
        return Err(format!(
            "it has {width} x {height} pixels; pictures up to {LONGEST_SIDE} pixels a side and {most} MiB decoded are read; make it smaller"
        ));
    }
    Ok(())
}

fn swaps_sides(orientation: image::metadata::Orientation) -> bool {
    orientation.to_exif() >= 5
}

/// Whether a JPEG has its end marker after the start of its pixels; decoders fill what is missing with grey and say nothing.
fn ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = bytes.get(at..at + 4) {
        if marker == 0xDA {
            return bytes[at..].windows(2).rev().any(|pair| pair == [0xFF, 0xD9]);
        }
        // Fill bytes may stand before a marker.
        at += if marker == 0xFF { 1 } else { 2 + usize::from(u16::from_be_bytes([high, low])) };
    }
    false
}

fn opaque(image: DynamicImage, backdrop: f64) -> DynamicImage {
    use DynamicImage as D;
    match image {
        D::ImageRgb8(_) | D::ImageRgb16(_) => image,
        D::ImageLuma8(_) => image.to_rgb8().into(),
        D::ImageLuma16(_) => image.to_rgb16().into(),
        D::ImageLumaA8(_) | D::ImageRgba8(_) => laid_on(&image.to_rgba8(), backdrop, |value| value.round() as u8).into(),
        D::ImageLumaA16(_) | D::ImageRgba16(_) => laid_on(&image.to_rgba16(), backdrop, |value| value.round() as u16).into(),
        other => laid_on(&other.to_rgba32f(), backdrop, |value| if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) as f32 }).into(),
    }
}

fn laid_on<T>(from: &ImageBuffer<Rgba<T>, Vec<T>>, backdrop: f64, finish: fn(f64) -> T) -> ImageBuffer<Rgb<T>, Vec<T>>
where
    T: Primitive + Into<f64>,
    Rgba<T>: image::Pixel<Subpixel = T>,
    Rgb<T>: image::Pixel<Subpixel = T>,
{
    let whole: f64 = T::DEFAULT_MAX_VALUE.into();
    ImageBuffer::from_fn(from.width(), from.height(), |x, y| {
        let Rgba([red, green, blue, alpha]) = *from.get_pixel(x, y);
        let cover = alpha.into() / whole;
        Rgb([red, green, blue].map(|value| finish(cover * value.into() + (1.0 - cover) * backdrop * whole)))
    })
}

fn broken(error: &image::ImageError) -> String {
    let said = error.to_string();
    format!("it is truncated or damaged and cannot be decoded ({}); copy it again or remove it", said.trim())
}

fn unreadable(error: std::io::Error) -> String {
    format!("it cannot be read ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_promise_by_their_ending() {
        let promised = |name: &str| promise(Path::new(name));
        assert_eq!(["a.png", "b.JPEG", "c.d.Tif"].map(promised), [Promise::Picture; 3]);
        assert_eq!(["a.heic", "b.CR2"].map(promised), [Promise::Foreign; 2]);
        assert_eq!(["README", "._a.png", ".DS_Store", "a.txt", "png"].map(promised), [Promise::Other; 5]);
    }

    #[test]
    fn an_end_marker_in_the_thumbnail_does_not_count() {
        let thumbnail = [0xFF, 0xD8, 0xFF, 0xE1, 0x00, 0x06, 0xFF, 0xD9, 0x00, 0x00];
        let scan = [0xFF, 0xDA, 0x00, 0x02, 0x12, 0x34];
        let cut = [&thumbnail[..], &scan].concat();
        assert!(!ends(&cut) && !ends(&thumbnail) && !ends(&[]));
        assert!(ends(&[&cut[..], &[0xFF, 0xD9, 0x0A]].concat()));
    }

    #[test]
    fn transparency_goes_over_the_backdrop() {
        let image = DynamicImage::ImageRgba8(ImageBuffer::from_raw(2, 1, vec![10, 20, 30, 0, 10, 20, 30, 51]).unwrap());
        assert_eq!(opaque(image.clone(), 1.0).into_bytes(), [255, 255, 255, 206, 208, 210]);
        assert_eq!(opaque(image, 0.0).into_bytes(), [0, 0, 0, 2, 4, 6]);
        let float = DynamicImage::ImageRgb32F(ImageBuffer::from_raw(1, 1, vec![f32::NAN, -1.0, 7.0]).unwrap());
        assert_eq!(opaque(float, 1.0).to_rgb32f().into_raw(), [0.0, 0.0, 1.0]);
    }
}
