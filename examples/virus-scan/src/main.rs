//! Only what clamd finds clean is archived.
//!
//! Staging is the quarantine: an infected file is set aside there as failed, with the signature as its reason, and any
//! doubt (nobody listens, no answer in time, half an answer, a file that clamd did not want whole) leaves it there,
//! to be scanned again. Only the one answer that means "clean", to all of the file, lets it into the archive.

mod clamd;

use std::process::ExitCode;
use std::time::Duration;

use clamd::{Clamd, Verdict};
use two_buckets::{Incoming, ProcessError, Processor, Report};

/// The largest file that is scanned: clamd's own default of `MaxFileSize`. Of a larger one it looks at nothing and
/// still says OK unless it is told otherwise (`AlertExceedsMax`).
const FILE_BYTES_MAX: u64 = 100 << 20;

struct VirusScan {
    clamd: Clamd,
}

impl Processor for VirusScan {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let size_bytes = upload.source.size_bytes;
        if size_bytes > FILE_BYTES_MAX {
            return Err(ProcessError::permanent(format!(
                "not scanned: {size_bytes} bytes are more than the {FILE_BYTES_MAX} that clamd looks at"
            )));
        }
        let scan = self.clamd.scan(upload.content.stream().await?);
        match scan.await.map_err(|doubt| doubt.context("not scanned"))? {
            Verdict::Clean => Report::from_json(
                serde_json::json!({"virus_scan": "clean", "scanned_bytes": size_bytes}).to_string(),
            ),
            Verdict::Infected(signature) => {
                Err(ProcessError::permanent(format!("infected: {signature}")))
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of its own reads its own environment"
)]
fn main() -> ExitCode {
    let address = std::env::var("CLAMD").unwrap_or_else(|_| "/run/clamav/clamd.ctl".to_owned());
    let silence_max_s = match std::env::var("CLAMD_SILENCE_MAX_S").map(|text| text.parse()) {
        Ok(Ok(seconds)) => seconds,
        Ok(Err(_)) => return complain("CLAMD_SILENCE_MAX_S must be a number of seconds"),
        Err(_) => 120,
    };
    two_buckets::run(VirusScan {
        clamd: Clamd {
            address,
            silence_max: Duration::from_secs(silence_max_s),
        },
    })
}

#[expect(clippy::print_stderr, reason = "there is no logger yet")]
fn complain(about: &str) -> ExitCode {
    eprintln!("virus-scan: {about}");
    ExitCode::from(2)
}
