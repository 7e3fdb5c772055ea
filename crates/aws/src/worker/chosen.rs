//! What a deployment runs on each file.

use two_buckets_pipeline::{Incoming, ProcessError, Processor, Report};

use super::system::SystemClock;
use crate::function::Function;

/// The program's own processor, or the Lambda function that the deployment names in its place.
#[derive(Debug)]
pub enum Chosen<P> {
    /// The processor that came with the program.
    Own(P),
    /// A function of the user's, of any language.
    Lambda(Box<Function<SystemClock>>),
}

impl<P> Chosen<P> {
    /// The function where there is one.
    pub fn new(own: P, function: Option<Function<SystemClock>>) -> Self {
        match function {
            Some(function) => Self::Lambda(Box::new(function)),
            None => Self::Own(own),
        }
    }
}

impl<P: Processor> Processor for Chosen<P> {
    fn name(&self) -> String {
        match self {
            Self::Own(own) => own.name(),
            Self::Lambda(function) => function.name(),
        }
    }

    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        match self {
            Self::Own(own) => own.process(upload).await,
            Self::Lambda(function) => function.process(upload).await,
        }
    }
}
