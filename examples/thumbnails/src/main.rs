//! Images come in, are kept as they are, and each gets thumbnails in several sizes beside it.

use std::io::Cursor;
use std::process::ExitCode;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};
use two_buckets::{Incoming, ProcessError, Processor, Report};

/// The longest side of each thumbnail, in pixels.
const SIZES: [u32; 3] = [1024, 512, 128];
/// The largest file that is read.
const FILE_BYTES_MAX: usize = 64 << 20;
/// The longest side of an image that is decoded.
const SIDE_MAX: u32 = 20_000;
/// The most memory one image may take: a small file can say that it is a huge image.
const PIXELS_BYTES_MAX: u64 = 256 << 20;

struct Thumbnails;

struct Thumbnail {
    name: String,
    width: u32,
    height: u32,
    format: ImageFormat,
    bytes: Vec<u8>,
}

impl Processor for Thumbnails {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let file = upload.content.bytes(FILE_BYTES_MAX).await?;
        // Decoding takes long, so it has a thread of its own.
        let (format, thumbnails) = tokio::task::spawn_blocking(move || thumbnails(&file))
            .await
            .map_err(|panic| ProcessError::Crashed(panic.to_string()))??;
        let mut made = Vec::new();
        for thumbnail in thumbnails {
            let media_type = thumbnail.format.to_mime_type();
            let outputs = &upload.outputs;
            let at = outputs.put_bytes(&thumbnail.name, media_type, thumbnail.bytes);
            made.push(serde_json::json!({
                "key": at.await?.key.as_str(),
                "width": thumbnail.width,
                "height": thumbnail.height,
            }));
        }
        let report = serde_json::json!({"media_type": format.to_mime_type(), "thumbnails": made});
        Report::from_json(report.to_string())
    }
}

fn thumbnails(file: &[u8]) -> Result<(ImageFormat, Vec<Thumbnail>), ProcessError> {
    let (format, mut image) =
        decode(file).map_err(|error| ProcessError::permanent(error).context("not an image"))?;
    let mut thumbnails = Vec::new();
    // From the largest to the smallest, each from the one before; an image is never enlarged.
    for size in SIZES {
        if image.width().max(image.height()) > size {
            image = image.thumbnail(size, size);
        }
        thumbnails.push(encode(size, &image).map_err(ProcessError::permanent)?);
    }
    Ok((format, thumbnails))
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

/// A JPEG, or a PNG of what JPEG would lose: transparency.
fn encode(size: u32, image: &DynamicImage) -> Result<Thumbnail, image::ImageError> {
    let (format, ending, image) = if image.color().has_alpha() {
        (ImageFormat::Png, "png", image.to_rgba8().into())
    } else {
        (
            ImageFormat::Jpeg,
            "jpg",
            DynamicImage::from(image.to_rgb8()),
        )
    };
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), format)?;
    Ok(Thumbnail {
        name: format!("thumbnail-{size}.{ending}"),
        width: image.width(),
        height: image.height(),
        format,
        bytes,
    })
}

fn main() -> ExitCode {
    two_buckets::run(Thumbnails)
}
