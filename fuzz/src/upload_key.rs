use two_buckets_uploads::UploadKey;

/// Reads any bytes as the key of an upload: what is taken is exactly what was sent, and nothing that a URL, a policy or
/// the archive would read as something else.
///
/// # Panics
///
/// When a key is taken that must not be.
pub fn upload_key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(key) = text.parse::<UploadKey>() else {
        return;
    };
    assert_eq!(key.as_str(), text, "a key is kept as it was sent");
    assert!((1..=1024).contains(&text.len()), "a key has a length");
    assert!(!text.chars().any(char::is_control), "no control characters");
    assert!(!text.starts_with('/'), "no leading slash");
    assert!(
        text.split('/')
            .all(|segment| segment != "." && segment != ".."),
        "no dot segments"
    );
    for reserved in ["_results/", "_late/"] {
        assert!(!text.starts_with(reserved), "{reserved} is reserved");
    }
}
