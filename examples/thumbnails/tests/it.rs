//! The program as its README starts it.

#[expect(dead_code, reason = "each program uses some of it")]
#[path = "../../../crates/two-buckets/tests/it/harness.rs"]
mod harness;

use std::io::Cursor;
use std::path::Path;

use harness::Server;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::Value;

fn serve(data: &Path) -> Server {
    Server::start_with(Path::new(env!("CARGO_BIN_EXE_thumbnails")), data, |_| {})
}

fn send(server: &Server, key: &str, file: &[u8], state: &str) -> Value {
    let sent = server.s3("PUT", "staging", Some(key), &[], file);
    assert_eq!(sent.status, 200, "{}", sent.text());
    server.wait_for(key, &[state]).remove(0)
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    image
        .into()
        .write_to(&mut Cursor::new(&mut bytes), format)
        .expect("it can be encoded");
    bytes
}

/// Red above blue.
fn flag(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |_, y| {
        if y < height / 2 {
            Rgb([255, 0, 0])
        } else {
            Rgb([0, 0, 255])
        }
    })
}

fn thumbnail(server: &Server, upload: &Value, name: &str, media_type: &str) -> DynamicImage {
    let key = format!(
        "_results/{}/{}/{name}",
        upload["key"].as_str().expect("a key"),
        upload["version_id"].as_str().expect("a version id")
    );
    assert!(upload["report"].to_string().contains(&key), "{upload:#}");
    let file = server.s3("GET", "archive", Some(&key), &[], b"");
    assert_eq!(file.status, 200, "{}", file.text());
    assert_eq!(file.header("content-type"), Some(media_type));
    image::load_from_memory(&file.body).expect("an image")
}

#[test]
fn an_image_gets_thumbnails_of_every_size_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let photo = encoded(flag(1600, 800), ImageFormat::Jpeg);
    let upload = send(&server, "photo.jpg", &photo, "archived");
    for (size, height) in [(1024, 512), (512, 256), (128, 64)] {
        let name = format!("thumbnail-{size}.jpg");
        let image = thumbnail(&server, &upload, &name, "image/jpeg").to_rgb8();
        assert_eq!(image.dimensions(), (size, height));
        let Rgb([red, _, blue]) = *image.get_pixel(size / 2, 2);
        assert!(red > 200 && blue < 50, "the upper half is red");
    }
    assert_eq!(
        server
            .s3("GET", "archive", Some("photo.jpg"), &[], b"")
            .body,
        photo
    );
}

#[test]
fn transparency_is_kept_and_a_small_image_is_not_enlarged() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let icon = RgbaImage::from_pixel(20, 10, Rgba([9, 200, 9, 40]));
    for (key, format) in [
        ("icon.png", ImageFormat::Png),
        ("icon.webp", ImageFormat::WebP),
        ("icon.gif", ImageFormat::Gif),
    ] {
        let upload = send(&server, key, &encoded(icon.clone(), format), "archived");
        let image = thumbnail(&server, &upload, "thumbnail-1024.png", "image/png");
        assert_eq!((image.width(), image.height()), (20, 10), "{key}");
        if format != ImageFormat::Gif {
            assert_eq!(image.to_rgba8().get_pixel(3, 3).0[3], 40, "{key}");
        }
    }
}

#[test]
fn a_photo_is_turned_as_the_camera_was_held() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let photo = encoded(flag(400, 200), ImageFormat::Jpeg);
    // EXIF with one entry: orientation 6, the camera was turned by 90 degrees.
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
    exif.extend(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let turned = [&photo[..2], b"\xff\xe1", &length, &exif, &photo[2..]].concat();
    let upload = send(&server, "turned.jpg", &turned, "archived");
    let image = thumbnail(&server, &upload, "thumbnail-128.jpg", "image/jpeg").to_rgb8();
    assert_eq!(image.dimensions(), (64, 128));
    let Rgb([red, _, blue]) = *image.get_pixel(60, 64);
    assert!(red > 200 && blue < 50, "what was above is on the right");
}

#[test]
fn what_is_no_image_and_what_is_far_too_large_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let photo = encoded(flag(300, 300), ImageFormat::Png);
    // Some forty bytes that say they are 400 million pixels, or more pixels on a side than we take.
    let bomb = |side: u16| {
        let [low, high] = side.to_le_bytes();
        let mut gif = b"GIF89a".to_vec();
        gif.extend([low, high, low, high, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
        gif.extend([0x2c, 0, 0, 0, 0, low, high, low, high, 0]);
        gif.extend([2, 2, 0x44, 1, 0, 0x3b]);
        gif
    };
    for (key, file, said) in [
        ("words.jpg", b"no image at all".to_vec(), "not an image"),
        ("empty.png", Vec::new(), "not an image"),
        (
            "half.png",
            photo[..photo.len() / 2].to_vec(),
            "not an image",
        ),
        ("bomb.gif", bomb(19_999), "limit"),
        ("wide.gif", bomb(65_535), "limit"),
    ] {
        let upload = send(&server, key, &file, "failed");
        let reason = upload["reason"].as_str().expect("a reason");
        assert!(reason.to_lowercase().contains(said), "{key}: {reason}");
        assert_eq!(upload["attempts"].as_u64().unwrap_or(1), 1, "{upload:#}");
    }
    let archive = server.s3("GET", "archive", None, &[("list-type", "2")], b"");
    assert!(!archive.text().contains("<Key>"), "{}", archive.text());
}
