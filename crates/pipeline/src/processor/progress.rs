use std::sync::{Arc, Mutex, PoisonError};

/// How far a run is, for people who wait. Cheap to clone and to call: what is said often is kept now and then.
///
/// ```
/// use two_buckets_pipeline::Progress;
///
/// let progress = Progress::default();
/// progress.say(3, Some(12), "pages read");
/// assert_eq!(progress.now().unwrap().words, "pages read");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Option<ProgressAt>>>);

/// How far a run said it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ProgressAt {
    /// How much is done, in a unit of the function's own.
    pub done: u64,
    /// How much there is to do in that unit, if it is known.
    pub total: Option<u64>,
    /// What is counted or being done, such as `pages read`; may be empty. At most [`Self::WORDS_BYTES_MAX`] bytes.
    pub words: String,
}

impl ProgressAt {
    /// The most bytes of words; longer ones are cut.
    pub const WORDS_BYTES_MAX: usize = 256;
}

impl Progress {
    /// Says how far the run is; replaces what was said before.
    pub fn say(&self, done: u64, total: Option<u64>, words: &str) {
        let mut end = words.len().min(ProgressAt::WORDS_BYTES_MAX);
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        let now = ProgressAt {
            done,
            total,
            words: words[..end].to_owned(),
        };
        // A panic elsewhere leaves a whole value behind, for it is set at once.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// What was said last.
    pub fn now(&self) -> Option<ProgressAt> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, ProgressAt};

    #[test]
    fn words_are_bounded_and_stay_text() {
        let progress = Progress::default();
        progress.say(1, None, &"\u{e4}".repeat(ProgressAt::WORDS_BYTES_MAX));
        progress.say(2, None, &format!("x{}", "\u{e4}".repeat(300)));
        let words = progress.now().unwrap().words;
        assert_eq!(words.len(), ProgressAt::WORDS_BYTES_MAX - 1);
    }
}
