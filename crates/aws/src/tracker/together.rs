//! One look for all who ask at the same time.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Answers by looks of which only one is under way. Whoever asks meanwhile is answered by the next one, together with all
/// others who do: each answer is of a look that began after it was asked for.
#[derive(Debug)]
pub(super) struct Together<T> {
    asked: AtomicU64,
    /// How many had asked when the last look began, and what it saw.
    last: Mutex<Option<(u64, T)>>,
}

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self {
            asked: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }
}

impl<T: Clone> Together<T> {
    /// What a look sees, this one or another's. One that fails is its asker's alone. Dropping it ends its look, and the
    /// next who asked looks.
    pub(super) async fn look<E>(&self, look: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let asked_before = self.asked.fetch_add(1, Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let Some((had_asked, seen)) = &*last
            && asked_before < *had_asked
        {
            return Ok(seen.clone());
        }
        let had_asked = self.asked.load(Ordering::SeqCst);
        let seen = look.await?;
        *last = Some((had_asked, seen.clone()));
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::FutureExt as _;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn who_asks_during_a_look_is_answered_by_the_next_and_all_of_them_by_one() {
        let (together, looks, gate) = (Together::default(), AtomicU64::new(0), Semaphore::new(0));
        let ask = || {
            together.look(async {
                let look = looks.fetch_add(1, Ordering::SeqCst) + 1;
                gate.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(look)
            })
        };
        let mut first = Box::pin(ask());
        assert!(first.as_mut().now_or_never().is_none(), "it looks");
        let mut others: Vec<_> = (0..5).map(|_| Box::pin(ask())).collect();
        for other in &mut others {
            assert!(other.as_mut().now_or_never().is_none());
        }
        gate.add_permits(1);
        assert_eq!(first.await.unwrap(), 1);
        gate.add_permits(1);
        // Theirs began after they asked.
        for other in others {
            assert_eq!(other.await.unwrap(), 2);
        }
        gate.add_permits(1);
        assert_eq!(ask().await.unwrap(), 3);
    }
}
