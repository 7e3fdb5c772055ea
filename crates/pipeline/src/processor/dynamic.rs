use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Incoming, ProcessError, Processor, Report};

/// A run of a [`DynProcessor`].
pub type Processing<'a> = Pin<Box<dyn Future<Output = Result<Report, ProcessError>> + Send + 'a>>;

/// A [`Processor`] whose type is chosen while the program runs. Every processor is one, and an `Arc` of one is a
/// [`Processor`] again:
///
/// ```
/// use std::sync::Arc;
/// use two_buckets_pipeline::{DynProcessor, Incoming, ProcessError, Processor, Report};
///
/// struct Accept;
/// impl Processor for Accept {
///     async fn process(&self, _: Incoming) -> Result<Report, ProcessError> {
///         Ok(Report::default())
///     }
/// }
/// struct Refuse(String);
/// impl Processor for Refuse {
///     async fn process(&self, _: Incoming) -> Result<Report, ProcessError> {
///         Err(ProcessError::Permanent(self.0.clone()))
///     }
/// }
///
/// fn chosen(is_open: bool) -> Arc<dyn DynProcessor> {
///     if is_open { Arc::new(Accept) } else { Arc::new(Refuse("closed".into())) }
/// }
/// assert_eq!(Processor::name(&chosen(false)), "refuse");
/// ```
pub trait DynProcessor: Send + Sync + 'static {
    /// See [`Processor::name`].
    fn name_boxed(&self) -> String;

    /// See [`Processor::concurrency`].
    fn concurrency_boxed(&self) -> Option<usize>;

    /// See [`Processor::process`].
    fn process_boxed(&self, upload: Incoming) -> Processing<'_>;
}

impl<P: Processor> DynProcessor for P {
    fn name_boxed(&self) -> String {
        self.name()
    }

    fn concurrency_boxed(&self) -> Option<usize> {
        self.concurrency()
    }

    fn process_boxed(&self, upload: Incoming) -> Processing<'_> {
        Box::pin(self.process(upload))
    }
}

impl Processor for Arc<dyn DynProcessor> {
    fn name(&self) -> String {
        // The Arc is a DynProcessor itself, whose methods end here: only its content's do not.
        (**self).name_boxed()
    }

    fn concurrency(&self) -> Option<usize> {
        (**self).concurrency_boxed()
    }

    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        (**self).process_boxed(upload).await
    }
}
