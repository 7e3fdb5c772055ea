use std::collections::VecDeque;

/// How much of what was said last is looked at.
const KEPT_BYTES: usize = 1024;
/// The longest last line that is told.
const LINE_CHARS_MAX: usize = 300;

/// Remembers the last line of what passes: mostly the reason of a failure.
#[derive(Default)]
pub(super) struct Tail(VecDeque<u8>);

impl Tail {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT_BYTES)..];
        let too_many = (self.0.len() + bytes.len()).saturating_sub(KEPT_BYTES);
        self.0.drain(..too_many);
        self.0.extend(bytes);
    }

    /// The last line that says something, cut; empty if there is none.
    pub(super) fn last_line(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().map(str::trim);
        let last = lines.rev().find(|line| !line.is_empty());
        last.map(|line| line.chars().take(LINE_CHARS_MAX).collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;

    #[test]
    fn the_last_line_that_says_something_is_told() {
        let mut tail = Tail::default();
        assert_eq!(tail.last_line(), "");
        tail.take(&[b'x'; 5_000]);
        tail.take(b"\nTraceback:\n  no such column  \n\n");
        assert_eq!(tail.last_line(), "no such column");
    }
}
