use std::str::FromStr;

use two_buckets_objects::{Key, Timestamp};
use ulid::Ulid;

use crate::{InvalidKeyPrefix, InvalidUploadKey, KeyPrefix, UploadKey};

/// How the key of an upload is made from its file name: text with `{date}` (UTC, `2026-11-23`), `{ulid}` (once) and
/// `{filename}`. `{date}/{ulid}/{filename}` unless the user says otherwise.
///
/// The ULID makes each key unique and puts keys of one prefix in the order of time, so it must be in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyTemplate(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    Date,
    Ulid,
    Filename,
}

/// A text that is no template, in words for the person who wrote it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidTemplate {
    /// Something in braces is unknown, or a brace stands alone.
    #[error(
        "the key template may have {{date}}, {{ulid}} and {{filename}} in braces, not {found:?}"
    )]
    Unknown {
        /// What was found.
        found: String,
    },
    /// `{ulid}` is not in it exactly once.
    #[error("the key template must have {{ulid}} once: without it two uploads get the same key")]
    NotUnique,
    /// The keys it makes are refused.
    #[error("the key template makes keys that are refused: {0}")]
    Refused(#[from] crate::InvalidUploadKey),
}

/// The longest file name that goes into a key, in bytes: what file systems allow.
const FILENAME_BYTES_MAX: usize = 255;
/// What a file is called whose name has nothing usable.
const NAMELESS: &str = "file";

impl KeyTemplate {
    /// Mints a key. `random` must have 80 bits that nobody can guess; higher ones are not used.
    ///
    /// Of the file name only the part behind the last slash or backslash is used, without control characters and
    /// those that turn the direction of text, and at most 255 bytes of it, the extension kept.
    pub fn mint(&self, filename: &str, now: Timestamp, random: u128) -> UploadKey {
        // A name can complete a reserved prefix together with the template's own text.
        self.filled(&sanitised(filename), now, random)
            .parse()
            .or_else(|_| self.filled(NAMELESS, now, random).parse())
            .expect("the template was tried with this name when it was read")
    }

    /// Mints a key below a prefix, as [`mint`](Self::mint) does without one. A long name is cut further where prefix,
    /// template and name are longer than a key; a template that leaves no room for any name is refused.
    pub fn mint_below(
        &self,
        prefix: Option<&KeyPrefix>,
        filename: &str,
        now: Timestamp,
        random: u128,
    ) -> Result<UploadKey, InvalidUploadKey> {
        let Some(prefix) = prefix else {
            return Ok(self.mint(filename, now, random));
        };
        let frame = prefix.as_str().len() + self.filled("", now, random).len();
        let names = self.0.iter().filter(|piece| **piece == Piece::Filename);
        let room = Key::LENGTH_BYTES_MAX.saturating_sub(frame) / names.count().max(1);
        let name = sanitised(filename);
        // Cutting must not leave a name of dots, which no key may have between slashes.
        let name = match shortened(&name, room.min(FILENAME_BYTES_MAX)) {
            name if matches!(name.trim(), "" | "." | "..") => NAMELESS.into(),
            name => name,
        };
        prefix
            .key(&self.filled(&name, now, random))
            .or_else(|_| prefix.key(&self.filled(NAMELESS, now, random)))
    }

    fn filled(&self, filename: &str, now: Timestamp, random: u128) -> String {
        // Before 1970 there was no upload.
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let ulid = Ulid::from_parts(millis, random);
        let mut key = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => key.push_str(text),
                Piece::Date => key.push_str(&date(now)),
                Piece::Ulid => key.push_str(&ulid.to_string()),
                Piece::Filename => key.push_str(filename),
            }
        }
        key
    }
}

/// A fresh folder that nobody can guess, `{date}/{ulid}/`, below a prefix if there is one.
pub(crate) fn folder(
    prefix: Option<&KeyPrefix>,
    now: Timestamp,
    random: u128,
) -> Result<KeyPrefix, InvalidKeyPrefix> {
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    let ulid = Ulid::from_parts(millis, random);
    let prefix = prefix.map_or("", KeyPrefix::as_str);
    format!("{prefix}{}/{ulid}/", date(now)).parse()
}

fn date(now: Timestamp) -> String {
    now.to_string().get(..10).unwrap_or("undated").to_owned()
}

impl Default for KeyTemplate {
    fn default() -> Self {
        Self(vec![
            Piece::Date,
            Piece::Text("/".into()),
            Piece::Ulid,
            Piece::Text("/".into()),
            Piece::Filename,
        ])
    }
}

impl FromStr for KeyTemplate {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        let unknown = |found: &str| InvalidTemplate::Unknown {
            found: found.into(),
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, braced) = rest.split_at(open);
            let close = braced.find('}').ok_or_else(|| unknown(braced))?;
            let (name, after) = braced.split_at(close + 1);
            pieces.push(Piece::Text(before.into()));
            pieces.push(match name {
                "{date}" => Piece::Date,
                "{ulid}" => Piece::Ulid,
                "{filename}" => Piece::Filename,
                _ => return Err(unknown(name)),
            });
            rest = after;
        }
        pieces.push(Piece::Text(rest.into()));
        if let Some(Piece::Text(text)) = pieces
            .iter()
            .find(|piece| matches!(piece, Piece::Text(text) if text.contains('}')))
        {
            return Err(unknown(text));
        }
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        if pieces.iter().filter(|piece| **piece == Piece::Ulid).count() != 1 {
            return Err(InvalidTemplate::NotUnique);
        }
        let template = Self(pieces);
        let longest = "x".repeat(FILENAME_BYTES_MAX);
        for name in [&*longest, NAMELESS] {
            template
                .filled(name, Timestamp::from_millis(0), 0)
                .parse::<UploadKey>()?;
        }
        Ok(template)
    }
}

/// The usable part of a file name as a browser or program sent it: never empty, no `/`, never `.` or `..`.
fn sanitised(filename: &str) -> String {
    let last = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last
        .chars()
        .filter(|c| !c.is_control() && !turns_text(*c))
        .collect();
    match kept.trim() {
        "" | "." | ".." => NAMELESS.into(),
        name => shortened(name, FILENAME_BYTES_MAX),
    }
}

/// Says whether the character is invisible and changes how those around it are shown, which hides a file's true
/// extension: direction marks (Unicode Standard Annex #9, section 2), line separators and the byte order mark.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{61c}')
}

/// Cuts a name to so many bytes, taking from its stem; a short extension stays.
fn shortened(name: &str, bytes_max: usize) -> String {
    const EXTENSION_BYTES_MAX: usize = 20;
    if name.len() <= bytes_max {
        return name.into();
    }
    let extension = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX => &name[dot..],
        _ => "",
    };
    let mut end = bytes_max - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &name[..end])
}

#[cfg(test)]
mod tests {
    use two_buckets_objects::Timestamp;

    use super::{InvalidTemplate, KeyTemplate};

    const NOW: Timestamp = Timestamp::from_millis(1_795_431_050_007);

    fn minted(filename: &str) -> String {
        let key = KeyTemplate::default().mint(filename, NOW, 7);
        key.as_str().to_owned()
    }

    #[test]
    fn a_minted_key_has_the_day_a_ulid_and_the_file_name() {
        let key = minted("report.csv");
        let parts: Vec<&str> = key.split('/').collect();
        assert_eq!(parts.len(), 3, "{key}");
        assert_eq!(parts[0], "2026-11-23");
        let ulid: ulid::Ulid = parts[1].parse().expect("a ULID");
        assert_eq!(ulid.timestamp_ms(), 1_795_431_050_007);
        assert_eq!(ulid.random(), 7);
        assert_eq!(parts[2], "report.csv");
    }

    #[test]
    fn a_key_below_a_prefix_fits_whatever_the_name() {
        let template: KeyTemplate = format!("{}{{ulid}}/{{filename}}", "t/".repeat(250))
            .parse()
            .expect("a template");
        let prefix: crate::KeyPrefix = format!("{}/", "p".repeat(482)).parse().expect("a prefix");
        for (name, last) in [
            ("photo.jpg", "photo.jpg"),
            ("a long name that must be cut.jpg", "a long nam.jpg"),
            ("..........................", ".............."),
            ("..", "file"),
        ] {
            let key = template
                .mint_below(Some(&prefix), name, NOW, 7)
                .expect("a key");
            assert!(prefix.covers(key.as_str()), "{key}");
            assert!(key.as_str().ends_with(&format!("/{last}")), "{name}: {key}");
        }
        let prefix: crate::KeyPrefix = format!("{}/", "p".repeat(511)).parse().expect("a prefix");
        assert!(template.mint_below(Some(&prefix), "a", NOW, 7).is_err());
    }

    #[test]
    fn two_uploads_of_one_name_in_one_millisecond_get_different_keys() {
        let template = KeyTemplate::default();
        assert_ne!(template.mint("a", NOW, 1), template.mint("a", NOW, 2));
        // Bits a ULID has no room for must not reach its time.
        let wide = template.mint("a", NOW, u128::MAX);
        assert!(wide.as_str().starts_with("2026-11-23/"));
        assert_eq!(
            template.mint("a", NOW, (1 << 80) | 5),
            template.mint("a", NOW, 5)
        );
    }

    #[test]
    fn a_hostile_file_name_becomes_a_harmless_last_segment() {
        let long_name = format!("{}.jpeg", "ü".repeat(600));
        for (sent, kept) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\fakepath\\photo.jpg", "photo.jpg"),
            ("..", "file"),
            ("a/..", "file"),
            (".", "file"),
            ("", "file"),
            ("folder/", "file"),
            ("   ", "file"),
            ("\u{0}\n\r\t", "file"),
            ("a\nb.txt", "ab.txt"),
            ("\u{202e}gpj.exe", "gpj.exe"),
            (".\u{200f}.", "file"),
            ("_results/x", "x"),
            ("_results", "_results"),
            ("{date}", "{date}"),
            ("a%2F..%2Fb", "a%2F..%2Fb"),
            ("  spaced name .txt ", "spaced name .txt"),
        ] {
            let key = minted(sent);
            let last = key.rsplit('/').next().expect("a last segment");
            assert_eq!(last, kept, "{sent:?} gave {key:?}");
            assert_eq!(key.split('/').count(), 3, "{sent:?} gave {key:?}");
        }
        let key = minted(&long_name);
        let last = key.rsplit('/').next().expect("a last segment");
        assert!(last.len() <= 255 && last.ends_with("ü.jpeg"), "{last}");
    }

    #[test]
    fn a_file_name_cannot_complete_a_reserved_prefix() {
        for (template, filename) in [
            ("{filename}/{ulid}", "_results"),
            ("_{filename}/{ulid}", "late"),
        ] {
            let template: KeyTemplate = template.parse().expect("a template");
            let key = template.mint(filename, NOW, 1);
            assert!(key.as_str().contains("file/"), "{key}");
        }
    }

    #[test]
    fn a_template_that_could_make_equal_or_refused_keys_is_refused() {
        for good in ["{ulid}", "in/{ulid}-{filename}", "{date}/{filename}/{ulid}"] {
            let template: KeyTemplate = good.parse().expect("a template");
            template.mint("name.txt", NOW, 1);
        }
        assert_eq!(
            "{date}/{ulid}/{filename}".parse::<KeyTemplate>(),
            Ok(KeyTemplate::default())
        );
        for equal in ["", "{filename}", "{ulid}{ulid}", "static"] {
            assert_eq!(
                equal.parse::<KeyTemplate>(),
                Err(InvalidTemplate::NotUnique),
                "{equal}"
            );
        }
        for unknown in ["{ulid}{user}", "{ulid}{", "}{ulid}", "{ulid", "{ulid}}"] {
            assert!(
                matches!(
                    unknown.parse::<KeyTemplate>(),
                    Err(InvalidTemplate::Unknown { .. })
                ),
                "{unknown}"
            );
        }
        let long = format!("{{ulid}}{{filename}}{}", "x".repeat(800));
        for refused in ["/{ulid}", "../{ulid}", "{ulid}/.", "_late/{ulid}", &long] {
            assert!(
                matches!(
                    refused.parse::<KeyTemplate>(),
                    Err(InvalidTemplate::Refused(_))
                ),
                "{refused}"
            );
        }
    }
}
