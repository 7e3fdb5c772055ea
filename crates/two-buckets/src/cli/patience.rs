//! How long and how often a request is sent again.

use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::Instant;

use super::trouble::Trouble;

/// The first pause; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Sends again what may work in a while, for a bounded time.
pub(super) struct Patience {
    /// How long a request is tried from its first failure on.
    retry_for: Duration,
    /// Where it says that it waits.
    bar: ProgressBar,
}

impl Patience {
    pub(super) fn new(retry_for: Duration, bar: ProgressBar) -> Self {
        Self { retry_for, bar }
    }

    /// Does something until it works, cannot work or time is up. It hears how often it was done before.
    pub(super) async fn keep_trying<T>(
        &self,
        mut work: impl AsyncFnMut(u32) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut since = None;
        for attempt in 0.. {
            let trouble = match work(attempt).await {
                Ok(done) => {
                    if attempt > 0 {
                        self.bar.set_message("");
                    }
                    return Ok(done);
                }
                Err(trouble) => trouble,
            };
            let Trouble::Passing { failure, after } = trouble else {
                return Err(trouble);
            };
            let since = *since.get_or_insert_with(Instant::now);
            let Some(pause) = pause(
                attempt,
                random(),
                after,
                self.retry_for.saturating_sub(since.elapsed()),
            ) else {
                let said = match self.retry_for.as_secs() {
                    0 => failure,
                    seconds => failure.and(&format!("; it was tried again for {seconds} s")),
                };
                return Err(Trouble::Passing {
                    failure: said,
                    after,
                });
            };
            self.bar.set_message(format!(
                " · trying again ({} s of {} s)",
                since.elapsed().as_secs(),
                self.retry_for.as_secs()
            ));
            tokio::time::sleep(pause).await;
        }
        unreachable!("the loop ends by its time")
    }
}

/// The pause behind this attempt, or none if it would last longer than there is time. From half of the whole to the
/// whole by chance, or all who wait for one server would come back at the same moment; and never shorter than the
/// server asked for.
fn pause(attempt: u32, random: u8, asked: Option<Duration>, left: Duration) -> Option<Duration> {
    let whole = FIRST_PAUSE
        .saturating_mul(1 << attempt.min(16))
        .min(PAUSE_MAX);
    let pause = (whole / 2 + (whole / 2) * u32::from(random) / 255).max(asked.unwrap_or_default());
    (pause <= left).then_some(pause)
}

fn random() -> u8 {
    let mut byte = [0];
    // Without randomness the pauses are the longest, which harms nobody.
    match getrandom::fill(&mut byte) {
        Ok(()) => byte[0],
        Err(_) => u8::MAX,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pause;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_are_cut_by_chance_to_a_half() {
        for (attempt, least, most) in [
            (0, 100, 200),
            (1, 200, 400),
            (4, 1600, 3200),
            (5, 2500, 5000),
            (u32::MAX, 2500, 5000),
        ] {
            let ms = |ms| Some(Duration::from_millis(ms));
            assert_eq!(pause(attempt, 0, None, LONG), ms(least));
            assert_eq!(pause(attempt, 255, None, LONG), ms(most));
        }
    }

    #[test]
    fn the_server_is_left_alone_as_long_as_it_asks_and_given_up_where_that_is_too_long() {
        let asked = Some(Duration::from_secs(20));
        assert_eq!(pause(0, 0, asked, LONG), asked);
        assert_eq!(pause(0, 0, asked, Duration::from_secs(19)), None);
        assert_eq!(pause(0, 255, None, Duration::from_millis(199)), None);
        assert_eq!(pause(0, 0, None, Duration::ZERO), None);
    }
}
