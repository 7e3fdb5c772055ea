//! What keeps a job's key while its function runs, and ends the run when it must.
//!
//! It has a thread and a runtime of its own, so that a function that blocks all of its own cannot hold it up.

use std::time::Duration;

use tokio::time::Instant;
use two_buckets_lambda_host::Family;
use two_buckets_pipeline::{FencingToken, Saying};

use super::client::{Client, Trouble};
use crate::config::JobSettings;

/// How often it is looked whether the run keeps to its bounds, and what it has said is passed on.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The part of the lease's life after which it is renewed although nothing was said.
const RENEWED_AT: u32 = 6;
/// The longest wait for an answer to a renewal, so that the bounds are looked at meanwhile.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a run ends other than by its function.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is beyond one of its bounds, in words.
    Beyond(String),
    /// The key is not the job's any more: it was cancelled, or another has it.
    Gone,
    /// No server was reached for so long that another may have the key.
    Alone,
}

/// What looks after one run.
pub(super) struct Keeper<'a> {
    pub(super) client: &'a Client,
    pub(super) token: FencingToken,
    pub(super) attempt: u32,
    pub(super) saying: &'a mut Saying,
    pub(super) bounds: &'a JobSettings,
    pub(super) family: &'a mut Family,
}

impl Keeper<'_> {
    /// Ends only when the run must.
    pub(super) async fn keep(&mut self) -> Ended {
        let began = Instant::now();
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(LOOK_INTERVAL.min(self.client.hold().life() / RENEWED_AT)).await;
            if let Some(beyond) = self.beyond(began) {
                return Ended::Beyond(beyond);
            }
            let said = self.saying.news();
            let is_due = renewed.elapsed() >= self.client.hold().life() / RENEWED_AT;
            if !is_due && said == two_buckets_pipeline::ledger::Said::default() {
                continue;
            }
            let asked = self.client.renew(self.token, self.attempt, &said);
            match tokio::time::timeout(RENEWAL_TIMEOUT, asked).await {
                Ok(Ok(())) => {
                    self.saying.passed_on(said);
                    renewed = Instant::now();
                }
                Ok(Err(Trouble::Gone(_) | Trouble::Nothing(_))) => return Ended::Gone,
                Ok(Err(Trouble::Refused(why))) => {
                    // The root key is another, or the program: this server does not know the job.
                    tracing::warn!(why, "the server refuses the job");
                    return Ended::Gone;
                }
                Ok(Err(Trouble::Passing(_))) | Err(_) => {}
            }
            if self.client.hold().is_over() {
                return Ended::Alone;
            }
        }
    }

    fn beyond(&mut self, began: Instant) -> Option<String> {
        if let Some(timeout) = self.bounds.timeout.value
            && began.elapsed() >= timeout
        {
            return Some(format!(
                "the job was stopped after {} s, its time-out",
                timeout.as_secs()
            ));
        }
        let memory_mib = self.bounds.memory_mib.value?;
        let limit_bytes = u64::from(memory_mib) << 20;
        (self.family.resident_bytes(limit_bytes) > limit_bytes).then(|| {
            format!("the job was stopped because it took more than {memory_mib} MiB of memory")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Flags, Settings};
    use crate::job::Tickets;
    use crate::job::client::Hold;
    use two_buckets_objects::{VersionId, VersionRef};
    use two_buckets_pipeline::{AttemptLog, Progress};

    /// How a job ends that no server answers, and after how long.
    async fn alone(life: Duration, flags: &[(&'static str, &str)]) -> (Ended, Duration) {
        let flags = Flags {
            values: flags
                .iter()
                .map(|(name, value)| (*name, value.into()))
                .collect(),
            ..Flags::default()
        };
        let nothing = Environment(std::collections::BTreeMap::new());
        let settings = Settings::resolve(&flags, &nothing).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = VersionRef {
            bucket: "staging".parse().unwrap(),
            key: "a".parse().unwrap(),
            version_id: VersionId::new("1"),
        };
        let client = Client::new(folder.path(), at, Tickets::new("secret"), Hold::new(life));
        let log = AttemptLog::default();
        let mut saying = Saying::new(log.clone(), Progress::default());
        log.append(b"what nobody hears");
        let began = Instant::now();
        let mut keeper = Keeper {
            client: &client,
            token: FencingToken(1),
            attempt: 1,
            saying: &mut saying,
            bounds: &settings.job,
            family: &mut Family::of_this_process(),
        };
        (keeper.keep().await, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_server_a_job_goes_on_for_its_leases_life_and_not_much_longer() {
        let life = Duration::from_mins(1);
        let (ended, after) = alone(life, &[]).await;
        assert_eq!(ended, Ended::Alone);
        assert!(after >= life && after < life * 2, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn its_time_is_up_without_a_server_too() {
        let (ended, after) = alone(Duration::from_mins(1), &[("job-timeout-s", "20")]).await;
        assert!(matches!(ended, Ended::Beyond(why) if why.contains("20 s")));
        assert!(after < Duration::from_mins(1), "{after:?}");
    }
}
