//! Several uploads in one invocation.
//!
//! Nobody waits for company: whoever gets an environment takes along those who wait at that moment. When an invocation
//! of several fails, nobody knows which of them it was; so each is tried again by itself, within the same attempt.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use two_buckets_lambda_host::Failure;
use two_buckets_pipeline::{Incoming, ProcessError, Report};

use super::{Answer, Inner, alone};

/// The uploads that wait for an environment.
#[derive(Default)]
pub(super) struct Waiting(Mutex<VecDeque<Waiter>>);

struct Waiter {
    upload: Incoming,
    answer: oneshot::Sender<Said>,
}

/// What the one who waited is told.
enum Said {
    Answer(Result<Report, ProcessError>),
    /// The invocation failed as a whole: try by yourself.
    Alone,
}

impl Waiting {
    /// Has the function look at an upload, together with others or alone.
    pub(super) async fn process(&self, function: &Inner, upload: Incoming) -> Answer {
        loop {
            let (sender, mut told) = oneshot::channel();
            self.queue().push_back(Waiter {
                upload: upload.clone(),
                answer: sender,
            });
            let said = loop {
                tokio::select! {
                    biased;
                    said = &mut told => break said,
                    environment = function.host.acquire() => {
                        // Those who waited longer go first; this one may be left for the next environment, or have been
                        // taken along by somebody else.
                        run(function, environment, self.take(function.batch)).await;
                    }
                }
            };
            match said {
                Ok(Said::Answer(answer)) => return answer,
                Ok(Said::Alone) => {
                    let environment = function.acquire(&upload).await?;
                    return alone(function.invoke(environment, &[&upload]).await);
                }
                // Whoever took it along is gone, cut off with its own upload.
                Err(_) => {}
            }
        }
    }

    /// Takes those who waited longest and are still waited for, of each key one.
    fn take(&self, most: usize) -> Vec<Waiter> {
        let mut queue = self.queue();
        let mut taken: Vec<Waiter> = Vec::new();
        let mut left = VecDeque::new();
        for waiter in queue.drain(..).filter(|it| !it.answer.is_closed()) {
            let key = &waiter.upload.source.at.key;
            let has_key = |it: &Waiter| it.upload.source.at.key == *key;
            if taken.len() < most && !taken.iter().any(has_key) {
                taken.push(waiter);
            } else {
                left.push_back(waiter);
            }
        }
        *queue = left;
        taken
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Waiter>> {
        // Every change is one call on the queue.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(
    function: &Inner,
    environment: Result<two_buckets_lambda_host::Environment, Failure>,
    batch: Vec<Waiter>,
) {
    let environment = match environment {
        Ok(_) if batch.is_empty() => return,
        Ok(environment) => environment,
        Err(failure) => {
            let uploads = batch.iter().map(|waiter| &waiter.upload);
            let error = function.not_acquired(&failure, uploads);
            for waiter in batch {
                tell(waiter, Said::Answer(Err(error.clone())));
            }
            return;
        }
    };
    let uploads: Vec<&Incoming> = batch.iter().map(|waiter| &waiter.upload).collect();
    let answers = function.invoke(environment, &uploads).await;
    match answers {
        Ok(answers) => {
            for (waiter, answer) in batch.into_iter().zip(answers) {
                tell(waiter, Said::Answer(answer));
            }
        }
        Err(failed) if batch.len() == 1 => {
            for waiter in batch {
                tell(waiter, Said::Answer(Err(failed.0.clone())));
            }
        }
        Err(_) => {
            for waiter in batch {
                tell(waiter, Said::Alone);
            }
        }
    }
}

fn tell(waiter: Waiter, said: Said) {
    // Whoever does not wait any more was fenced off or cut off; somebody else works on its key.
    _ = waiter.answer.send(said);
}
