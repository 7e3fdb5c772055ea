//! What people see while files are sent, on standard error and on a terminal only: a bar for all of it, and one each for
//! a few large files.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cli::meaning::Output;
use crate::cli::print;

/// How many large files have a bar of their own at once.
const FILE_BARS_MAX: usize = 4;
/// How long a name may be beside its bar.
const NAME_CHARS_MAX: usize = 28;

/// The bars.
pub(super) struct Bars {
    drawn: MultiProgress,
    total: ProgressBar,
    files: usize,
    done: AtomicUsize,
    shown: AtomicUsize,
    skipped: AtomicU64,
}

impl Bars {
    /// For so many files with so many bytes; without a number of bytes where there is a stream among them.
    pub(super) fn new(output: Output, files: usize, size_bytes: Option<u64>) -> Self {
        let bars = MultiProgress::with_draw_target(match output {
            // Draws nothing where standard error is no terminal.
            Output::Person => ProgressDrawTarget::stderr(),
            Output::Program => ProgressDrawTarget::hidden(),
        });
        let total = bars
            .add(ProgressBar::new(size_bytes.unwrap_or(0)))
            .with_style(if size_bytes.is_some() {
                style(
                    "{wide_bar:.cyan/dim} {percent:>3}%  {sent} of {all}  {speed}  {left}{prefix}{msg}",
                )
            } else {
                style("{spinner:.cyan} {sent} sent  {speed}{prefix}{msg}")
            });
        if !bars.is_hidden() {
            // So that speed and time left go on while nothing moves.
            total.enable_steady_tick(Duration::from_millis(200));
        }
        let this = Self {
            drawn: bars,
            total,
            files,
            done: AtomicUsize::new(0),
            shown: AtomicUsize::new(0),
            skipped: AtomicU64::new(0),
        };
        this.count(0);
        this
    }

    /// Where it says that it waits.
    pub(super) fn total(&self) -> ProgressBar {
        self.total.clone()
    }

    /// A file begins.
    pub(super) fn file(&self, name: &str, is_large: bool, size_bytes: u64) -> FileBar<'_> {
        let has_bar = is_large
            && self.files > 1
            && self
                .shown
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |shown| {
                    (shown < FILE_BARS_MAX).then_some(shown + 1)
                })
                .is_ok();
        let bar = has_bar.then(|| {
            self.drawn
                .insert_before(&self.total, ProgressBar::new(size_bytes))
                .with_style(style(
                    "{prefix:28.dim} {wide_bar:.blue/dim} {percent:>3}%  {all:>10}{msg}",
                ))
                .with_prefix(shortened(&print::harmless(name)))
        });
        FileBar { bars: self, bar }
    }

    /// Says something of a file, above the bars.
    pub(super) fn say(&self, path: &Path, sentence: &str) {
        self.line(&format!(
            "{}: {sentence}",
            print::harmless(&path.display().to_string())
        ));
    }

    /// Says something, above the bars.
    pub(super) fn line(&self, sentence: &str) {
        self.drawn.suspend(|| {
            // Nobody is left to tell where standard error is gone.
            _ = writeln!(io::stderr(), "{sentence}");
        });
    }

    /// All is done; the bars go away, and people are told how fast it was.
    pub(super) fn end(&self) {
        let sent = self.total.position() - self.skipped.load(Ordering::Relaxed);
        let seconds = self.total.elapsed().as_secs_f64();
        self.total.finish_and_clear();
        if !self.drawn.is_hidden() && sent > 0 {
            self.line(&format!(
                "sent {} in {}\n",
                print::size(sent),
                span(seconds)
            ));
        }
    }

    /// The bars go away for good, whatever is still under way.
    pub(super) fn clear(&self) {
        self.total.disable_steady_tick();
        // A terminal that is gone has nothing to clear.
        _ = self.drawn.clear();
        self.drawn.set_draw_target(ProgressDrawTarget::hidden());
    }

    fn count(&self, more: usize) {
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        if self.files > 1 {
            self.total
                .set_prefix(format!("  {done} of {} files", self.files));
        }
    }
}

/// The part of the bars that is one file's. Dropping it counts the file as done with.
pub(super) struct FileBar<'a> {
    bars: &'a Bars,
    bar: Option<ProgressBar>,
}

impl FileBar<'_> {
    /// So many bytes more were sent.
    pub(super) fn sent(&self, bytes: u64) {
        self.bars.total.inc(bytes);
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// So many bytes need not be sent; they say nothing of the speed.
    pub(super) fn skip(&self, bytes: u64) {
        self.bars.skipped.fetch_add(bytes, Ordering::Relaxed);
        self.sent(bytes);
        self.bars.total.reset_eta();
    }

    /// There are so many bytes more than was known.
    pub(super) fn grow(&self, bytes: u64) {
        self.bars.total.inc_length(bytes);
    }

    /// What is being done, where it is not sending.
    pub(super) fn now(&self, doing: &str) {
        let bar = self.bar.as_ref().unwrap_or(&self.bars.total);
        bar.set_message(if doing.is_empty() {
            String::new()
        } else {
            format!("  {doing}")
        });
    }
}

impl Drop for FileBar<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.bars.drawn.remove(bar);
            self.bars.shown.fetch_sub(1, Ordering::Relaxed);
        }
        self.bars.count(1);
    }
}

fn style(template: &str) -> ProgressStyle {
    let write = |out: &mut dyn std::fmt::Write, text: String| {
        out.write_str(&text)
            .expect("the bar's own buffer takes every write");
    };
    ProgressStyle::with_template(template)
        .expect("the templates above are right")
        .progress_chars("━╸─")
        .with_key(
            "sent",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                write(out, print::size(state.pos()));
            },
        )
        .with_key(
            "all",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                write(out, print::size(state.len().unwrap_or(0)));
            },
        )
        .with_key(
            "speed",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                write(out, speed(state.per_sec()));
            },
        )
        .with_key(
            "left",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let is_known = state.per_sec() >= 1.0 && state.pos() < state.len().unwrap_or(0);
                let text = if is_known {
                    format!("{} left", span(state.eta().as_secs_f64()))
                } else {
                    String::new()
                };
                write(out, text);
            },
        )
}

/// `85.3 MiB/s`.
fn speed(bytes_per_s: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts from floats saturate, and a speed that large is wrong anyway"
    )]
    let whole = bytes_per_s as u64;
    format!("{}/s", print::size(whole))
}

/// `5 s`, `3 min 20 s`, `2 h 5 min`.
fn span(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts from floats saturate, and no upload lasts that long"
    )]
    let whole = seconds.round() as u64;
    match whole {
        0 => "less than 1 s".to_owned(),
        1..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A name that fits beside its bar; its beginning and its end say the most.
fn shortened(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    let end = NAME_CHARS_MAX / 2;
    let mut short: String = chars[..NAME_CHARS_MAX - end - 1].iter().collect();
    write!(
        short,
        "…{}",
        chars[chars.len() - end..].iter().collect::<String>()
    )
    .expect("writing to a String cannot fail");
    short
}

#[cfg(test)]
mod tests {
    use super::{shortened, span};

    #[test]
    fn spans_read_well() {
        for (seconds, shown) in [
            (0.2, "less than 1 s"),
            (59.4, "59 s"),
            (200.0, "3 min 20 s"),
            (7500.0, "2 h 5 min"),
        ] {
            assert_eq!(span(seconds), shown);
        }
    }

    #[test]
    fn a_long_name_keeps_its_beginning_and_its_end() {
        assert_eq!(shortened("short.txt"), "short.txt");
        let long = shortened("holiday/2024/ü-a-very-long-name-of-a-photo.jpeg");
        assert_eq!(long, "holiday/2024/…f-a-photo.jpeg");
        assert_eq!(long.chars().count(), 28);
    }
}
