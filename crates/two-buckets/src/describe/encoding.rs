/// How a text's characters are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encoding {
    Utf8,
    Utf16,
    /// Some code page of one byte a character, with ASCII in it.
    Unknown8Bit,
}

impl Encoding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16 => "utf-16",
            Self::Unknown8Bit => "unknown-8bit",
        }
    }
}

/// Of a text in an old code page, how many bytes in a hundred may be outside ASCII.
/// Western texts have some 5, and what is denser looks the same as noise.
const OUTSIDE_ASCII_PERCENT_MAX: usize = 30;

/// The encoding of a file that begins so, or none if it is no text. `whole` says that nothing follows.
pub(super) fn encoding_of(prefix: &[u8], whole: bool) -> Option<Encoding> {
    if prefix.starts_with(b"\xff\xfe") || prefix.starts_with(b"\xfe\xff") {
        return is_utf16_text(prefix).then_some(Encoding::Utf16);
    }
    if prefix.is_empty() || prefix.iter().any(|byte| is_control(u32::from(*byte))) {
        return None;
    }
    let cut_off = |error: std::str::Utf8Error| error.error_len().is_none() && !whole;
    match std::str::from_utf8(prefix) {
        Ok(_) => Some(Encoding::Utf8),
        Err(error) if cut_off(error) => Some(Encoding::Utf8),
        Err(_) => {
            let outside = prefix.iter().filter(|byte| !byte.is_ascii()).count();
            (outside * 100 <= prefix.len() * OUTSIDE_ASCII_PERCENT_MAX)
                .then_some(Encoding::Unknown8Bit)
        }
    }
}

fn is_utf16_text(prefix: &[u8]) -> bool {
    let little = prefix.starts_with(b"\xff\xfe");
    let units = prefix.chunks_exact(2).map(|pair| match *pair {
        [a, b] if little => u16::from_le_bytes([a, b]),
        [a, b] => u16::from_be_bytes([a, b]),
        _ => unreachable!("chunks of two have two"),
    });
    let mut characters = 0_usize;
    let mut odd = 0_usize;
    for character in char::decode_utf16(units) {
        characters += 1;
        // A cut may split a pair of surrogates at the end.
        odd += usize::from(character.map_or(true, |c| is_control(u32::from(c))));
    }
    characters > 1 && odd <= 1
}

/// Says whether no text has this character: C0 controls but those that move the cursor, and DELETE.
fn is_control(code: u32) -> bool {
    matches!(code, 0..=0x07 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f)
}

/// Counts lines as they come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    breaks: u64,
    open: bool,
}

impl Lines {
    #[expect(
        clippy::naive_bytecount,
        reason = "compiled to wide instructions; hashing the same bytes takes far longer"
    )]
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let breaks = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.breaks += breaks as u64;
        if let Some(last) = bytes.last() {
            self.open = *last != b'\n';
        }
    }

    pub(super) fn count(self) -> u64 {
        self.breaks + u64::from(self.open)
    }
}
