//! The medians of all rounds, a row for each case.

use super::case::{Case, PEER};
use super::round::Round;
use crate::figures::{median, micros, millis, percentile};

/// Prints the table. The first case must be the one that others are compared with.
pub(crate) fn print(measured: &mut [(Case, Vec<Round>)]) {
    println!("\nmedians of the rounds; times are from a PUT's answer until the file is archived");
    println!(
        "  {:<18} {:>21} {:>19} {:>12} {:>17} {:>8} {:>10}",
        "", "first file", "warm p50", "warm p99", "files/s", "memory", "server CPU"
    );
    let mut peer = None;
    for (case, rounds) in measured {
        let row = Row::of(rounds);
        let peer = peer.get_or_insert_with(|| row.clone());
        row.print(case, peer);
    }
    println!(
        "  first file: times the bare start of the language; warm p50 and files/s: times and share of {PEER}'s"
    );
}

#[derive(Clone)]
struct Row {
    first_ms: f64,
    bare_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
    files_per_s: f64,
    memory_mib: f64,
    server_cpu_us: f64,
}

impl Row {
    fn of(rounds: &mut [Round]) -> Row {
        #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let mut warm = |share| {
            median(
                rounds
                    .iter_mut()
                    .map(|it| millis(percentile(&mut it.warm, share))),
            )
        };
        let (p50_ms, p99_ms) = (warm(0.5), warm(0.99));
        Row {
            p50_ms,
            p99_ms,
            first_ms: median(rounds.iter().map(|it| millis(it.first))),
            bare_ms: median(rounds.iter().flat_map(|it| &it.bare).map(|it| millis(*it))),
            files_per_s: median(rounds.iter().map(|it| it.files_per_s)),
            memory_mib: median(rounds.iter().map(|it| mib(it.memory_bytes))),
            server_cpu_us: median(rounds.iter().map(|it| micros(it.server_cpu_per_file))),
        }
    }

    fn print(&self, case: &Case, peer: &Row) {
        let first = if self.bare_ms > 0.0 {
            format!(
                "{:.0} ms = {:.1} starts",
                self.first_ms,
                self.first_ms / self.bare_ms
            )
        } else {
            format!("{:.0} ms", self.first_ms)
        };
        let warm = format!("{:.2} ms = {:.1} x", self.p50_ms, self.p50_ms / peer.p50_ms);
        let rate = format!(
            "{:.0} = {:.2}",
            self.files_per_s,
            self.files_per_s / peer.files_per_s
        );
        let memory = if self.memory_mib > 0.0 {
            format!("{:.0} MiB", self.memory_mib)
        } else {
            "none".to_owned()
        };
        println!(
            "  {:<18} {first:>21} {warm:>19} {:>9.2} ms {rate:>17} {memory:>8} {:>7.0} us",
            case.name, self.p99_ms, self.server_cpu_us
        );
    }
}
