//! Images come in, are kept as they are, and each gets thumbnails in several sizes beside it.

use std::io::Cursor;
use std::process::ExitCode;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};
use serde_json::Value;
use two_buckets::{Blocking, Incoming, ProcessError, Processor, Report};

/// The longest side of each thumbnail, in pixels.
const SIZES: [u32; 3] = [1024, 512, 128];
/// The largest file that is read.
const FILE_BYTES_MAX: usize = 64 << 20;
/// The longest side of an image that is decoded.
const SIDE_MAX: u32 = 20_000;
/// The most memory one image may take: a small file can say that it is a huge image.
const PIXELS_BYTES_MAX: u64 = 256 << 20;

struct Thumbnails;

impl Processor for Thumbnails {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        // Decoding takes long.
        upload.blocking(|upload| thumbnails(&upload)).await
    }
}

fn thumbnails(upload: &Blocking) -> Result<Report, ProcessError> {
    let file = upload.bytes(FILE_BYTES_MAX)?;
    let (format, mut image) =
        decode(&file).map_err(|error| ProcessError::permanent(error).context("not an image"))?;
    let mut made = Vec::new();
    // From the largest to the smallest, each from the one before; an image is never enlarged.
    for size in SIZES {
        upload.still_wanted()?;
        if image.width().max(image.height()) > size {
            image = image.thumbnail(size, size);
        }
        made.push(keep(upload, size, &image)?);
    }
    let report = serde_json::json!({"media_type": format.to_mime_type(), "thumbnails": made});
    Report::from_json(report.to_string())
}

/// The image as people see it: turned as the camera says it was held.
fn decode(file: &[u8]) -> Result<(ImageFormat, DynamicImage), image::ImageError> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(PIXELS_BYTES_MAX);
    reader.limits(limits.clone());
    let format = reader.format();
    let mut decoder = reader.into_decoder()?;
    // What the image itself takes counts too, before it is taken.
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let format = format.expect("a decoder was chosen by it");
    Ok((format, image))
}

/// A JPEG, or a PNG of what JPEG would lose: transparency. Gives what the report says of it.
fn keep(upload: &Blocking, size: u32, image: &DynamicImage) -> Result<Value, ProcessError> {
    let (format, ending) = if image.color().has_alpha() {
        (ImageFormat::Png, "png")
    } else {
        (ImageFormat::Jpeg, "jpg")
    };
    let mut output = upload.output(&format!("thumbnail-{size}.{ending}"), format.to_mime_type())?;
    match format {
        ImageFormat::Png => image
            .to_rgba8()
            .write_with_encoder(PngEncoder::new(&mut output)),
        _ => image
            .to_rgb8()
            .write_with_encoder(JpegEncoder::new(&mut output)),
    }
    .map_err(ProcessError::permanent)?;
    Ok(serde_json::json!({
        "key": output.finish()?.key.as_str(),
        "width": image.width(),
        "height": image.height(),
    }))
}

fn main() -> ExitCode {
    two_buckets::run(Thumbnails)
}
