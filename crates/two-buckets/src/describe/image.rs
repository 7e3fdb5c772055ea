use super::Structure;

/// Formats whose dimensions stand near the beginning and whose readers were read for loops and allocations.
const MEASURED: [&str; 10] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/heif",
    "image/avif",
    "image/vnd.adobe.photoshop",
    "image/jxl",
];

/// The dimensions of a picture that begins so; `None` where the format has none we read.
/// The error says why they could not be found.
pub(super) fn dimensions(media_type: &str, prefix: &[u8]) -> Option<Result<Structure, String>> {
    if !MEASURED.contains(&media_type) {
        return None;
    }
    let found = imagesize::blob_size(prefix).map_err(|error| error.to_string());
    Some(found.map(|size| {
        let width = size.width as u64;
        let height = match u32::try_from(size.height) {
            // A bitmap that is stored from the top down has its height below zero.
            Ok(height) if media_type == "image/bmp" => {
                u64::from(height.cast_signed().unsigned_abs())
            }
            _ => size.height as u64,
        };
        Structure::Image { width, height }
    }))
}
