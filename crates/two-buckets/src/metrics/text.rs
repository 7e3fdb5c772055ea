//! Prometheus' text format 0.0.4 ("Exposition formats", "Text-based format"), as far as it is needed here.

use std::fmt::{Display, Write as _};

use two_buckets_local::Durations;

/// What every name begins with.
pub(super) const PREFIX: &str = "two_buckets_";

/// A text that is being written.
#[derive(Default)]
pub(super) struct Text(String);

/// What a family's samples are.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// It only grows, until the server ends. Its name ends with `_total`.
    Counter,
    /// It is what it is at the moment.
    Gauge,
    /// Durations by buckets.
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Text {
    /// Begins a family: all samples of one name, which come right behind.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let kind = kind.name();
        self.line(format_args!("# HELP {PREFIX}{name} {help}"));
        self.line(format_args!("# TYPE {PREFIX}{name} {kind}"));
        Family { text: self, name }
    }

    /// A family with one sample that has no labels.
    pub(super) fn single(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &str,
        value: impl Display,
    ) {
        self.family(name, kind, help).sample(&[], value);
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes what is written");
    }
}

/// A family whose samples are being written.
pub(super) struct Family<'a> {
    text: &'a mut Text,
    name: &'static str,
}

impl Family<'_> {
    /// Writes a sample. No two of a family may have the same labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.write("", labels, value);
    }

    /// Writes the buckets, sum and count of a histogram.
    pub(super) fn durations(&mut self, durations: &Durations) {
        let mut up_to_here = 0;
        for (bound, count) in &durations.buckets {
            up_to_here += count;
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |it| it.as_secs_f64().to_string());
            self.write("_bucket", &[("le", &bound)], up_to_here);
        }
        self.write("_sum", &[], durations.sum.as_secs_f64());
        // Of what was counted above, so that the two never differ.
        self.write("_count", &[], up_to_here);
    }

    fn write(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let mut shown = String::new();
        for (name, value) in labels {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let comma = if shown.is_empty() { "" } else { "," };
            write!(shown, "{comma}{name}=\"{value}\"").expect("a string takes what is written");
        }
        if !shown.is_empty() {
            shown = format!("{{{shown}}}");
        }
        let name = self.name;
        self.text
            .line(format_args!("{PREFIX}{name}{suffix}{shown} {value}"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_family_is_its_help_its_type_and_its_samples() {
        let mut text = Text::default();
        let mut family = text.family("made_total", Kind::Counter, "A line\nwith a \\.");
        family.sample(&[("kind", "a \"b\"\\\n"), ("other", "é")], 3);
        family.sample(&[], 0.5);
        text.single("is_on", Kind::Gauge, "On.", 1);
        assert_eq!(
            text.into_string(),
            "# HELP two_buckets_made_total A line\\nwith a \\\\.\n\
             # TYPE two_buckets_made_total counter\n\
             two_buckets_made_total{kind=\"a \\\"b\\\"\\\\\\n\",other=\"é\"} 3\n\
             two_buckets_made_total 0.5\n\
             # HELP two_buckets_is_on On.\n\
             # TYPE two_buckets_is_on gauge\n\
             two_buckets_is_on 1\n"
        );
    }

    #[test]
    fn each_bucket_counts_all_that_are_shorter_too() {
        let mut text = Text::default();
        let ms = Duration::from_millis;
        let durations = Durations {
            buckets: vec![(Some(ms(1)), 2), (Some(ms(2_500)), 0), (None, 3)],
            sum: ms(7_250),
        };
        text.family("run_seconds", Kind::Histogram, "Runs.")
            .durations(&durations);
        let text = text.into_string();
        let samples: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            samples,
            [
                "two_buckets_run_seconds_bucket{le=\"0.001\"} 2",
                "two_buckets_run_seconds_bucket{le=\"2.5\"} 2",
                "two_buckets_run_seconds_bucket{le=\"+Inf\"} 5",
                "two_buckets_run_seconds_sum 7.25",
                "two_buckets_run_seconds_count 5",
            ]
        );
    }
}
